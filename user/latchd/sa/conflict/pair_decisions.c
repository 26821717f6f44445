/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/pair_decisions.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "latchd/sa/child/sa_group_changes.h"

void pair_decisions_start(struct pair_decisions *decisions, int map)
{
	memset(decisions, 0, sizeof(*decisions));
	decisions->map = map;
	decisions->unknown = true;
}

/* ---- the end of a decision */

static int delete_pair(int map, const struct latch_pair *pair)
{
	int err = bpf_map_delete_elem(map, pair);

	return err == -ENOENT ? 0 : err;
}

/* -ENOENT: the map is empty. */
static int delete_first(int map)
{
	struct latch_pair pair;
	int err = bpf_map_get_next_key(map, NULL, &pair);

	return err ? err : delete_pair(map, &pair);
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
	memset(decisions->of_peer, 0, sizeof(decisions->of_peer));
	return 0;
}

/* The last one takes its place. After an error the next call deletes all. */
static int end_decision(struct pair_decisions *decisions, size_t at)
{
	struct pair_decision *ended = &decisions->kept[at];
	int err = delete_pair(decisions->map, &ended->pair);

	decisions->unknown = err != 0;
	if (err)
		return err;
	decisions->of_peer[ended->peer]--;
	*ended = decisions->kept[--decisions->count];
	return 0;
}

static int end_concerned(struct pair_decisions *decisions, const struct sa_groups *groups)
{
	size_t i;
	int err = 0;

	for (i = decisions->count; !err && i; i--)
		if (sa_group_changes_concern(groups, decisions->changes,
					     &decisions->kept[i - 1].pair))
			err = end_decision(decisions, i - 1);
	return err;
}

int pair_decisions_follow(struct pair_decisions *decisions, const struct sa_groups *groups)
{
	int err;

	if (groups->changes == decisions->changes && !decisions->unknown)
		return 0;
	err = decisions->unknown ? pair_decisions_forget(decisions)
				 : end_concerned(decisions, groups);
	if (!err)
		decisions->changes = groups->changes;
	return err;
}

/* ---- a new decision */

static bool goes_before(const struct pair_decisions *decisions, const struct pair_decision *one,
			const struct pair_decision *other)
{
	uint16_t has = decisions->of_peer[one->peer], others = decisions->of_peer[other->peer];

	return has != others ? has > others : one->number < other->number;
}

/* Each flow that asks may be of another pair: a peer with many pairs ends its own decisions. */
static int make_room(struct pair_decisions *decisions)
{
	size_t i, first = 0;

	if (decisions->count < LATCH_PAIRS_MAX)
		return 0;
	for (i = 1; i < decisions->count; i++)
		if (goes_before(decisions, &decisions->kept[i], &decisions->kept[first]))
			first = i;
	return end_decision(decisions, first);
}

static struct latch_pair pair_of(const struct latch_flow *flow, uint16_t params)
{
	struct latch_pair pair = {.netns = flow->netns, .params = params, .family = flow->family};

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	return pair;
}

int pair_decisions_put(struct pair_decisions *decisions, const struct latch_flow *flow,
		       const struct sa_group *group, bool contested)
{
	const struct pair_decision made = {
		.pair = pair_of(flow, group->params),
		.number = decisions->numbered++,
		.peer = group->peer,
	};
	uint32_t decision = contested ? LATCH_PAIR_CONTESTED : LATCH_PAIR_ALONE;
	int err = bpf_map_update_elem(decisions->map, &made.pair, &decision, BPF_EXIST);

	if (err != -ENOENT)
		return err;
	err = make_room(decisions);
	if (!err)
		err = bpf_map_update_elem(decisions->map, &made.pair, &decision, BPF_NOEXIST);
	if (err)
		return err;
	decisions->of_peer[made.peer]++;
	decisions->kept[decisions->count++] = made;
	return 0;
}
