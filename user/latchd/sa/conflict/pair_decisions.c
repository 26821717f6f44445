/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/pair_decisions.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

void pair_decisions_start(struct pair_decisions *decisions, int map)
{
	memset(decisions, 0, sizeof(*decisions));
	decisions->map = map;
	decisions->unknown = true;
}

/* -ENOENT: the map is empty. */
static int delete_first(int map)
{
	struct latch_pair pair;

	int err = bpf_map_get_next_key(map, NULL, &pair);

	if (err)
		return err;
	err = bpf_map_delete_elem(map, &pair);
	return err == -ENOENT ? 0 : err;
}

int pair_decisions_forget(struct pair_decisions *decisions)
{
	int err = 0;

	if (!decisions->unknown && !decisions->count)
		return 0;
	decisions->unknown = true;
	while (!err)
		err = delete_first(decisions->map);
	if (err != -ENOENT)
		return err;
	decisions->unknown = false;
	decisions->count = 0;
	memset(decisions->of_params, 0, sizeof(decisions->of_params));
	return 0;
}

int pair_decisions_follow(struct pair_decisions *decisions, uint64_t changes)
{
	int err;

	if (changes == decisions->changes && !decisions->unknown)
		return 0;
	err = pair_decisions_forget(decisions);
	if (!err)
		decisions->changes = changes;
	return err;
}

static struct latch_pair pair_of(const struct latch_flow *flow)
{
	struct latch_pair pair = {.netns = flow->netns, .family = flow->family};

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	return pair;
}

int pair_decisions_put(struct pair_decisions *decisions, const struct latch_flow *flow,
		       uint16_t params, bool contested)
{
	const struct latch_pair pair = pair_of(flow);
	uint32_t only = contested ? LATCH_PAIR_CONTESTED : params;
	int err = bpf_map_update_elem(decisions->map, &pair, &only, BPF_EXIST);

	if (err != -ENOENT)
		return err;
	if (decisions->count >= LATCH_PAIRS_MAX ||
	    decisions->of_params[params] >= PAIR_DECISIONS_SHARE_MAX)
		return -ENOSPC;
	err = bpf_map_update_elem(decisions->map, &pair, &only, BPF_NOEXIST);
	if (err)
		return err;
	decisions->count++;
	decisions->of_params[params]++;
	return 0;
}
