/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/pair_decisions.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/loop.h"
#include "latchd/sa/child/sa_group_changes.h"
#include "latchd/sa/child/sa_group_pairs.h"

void pair_decisions_start(struct pair_decisions *decisions, int map)
{
	memset(decisions, 0, sizeof(*decisions));
	decisions->map = map;
	decisions->unknown = true;
}

/* ---- shares */

static struct pair_host_key host_key(uint64_t netns, const struct sa_way *way)
{
	struct pair_host_key key = {.netns = netns, .family = way->family};

	memcpy(key.address, way->remote, way->family == AF_INET6 ? 8 : sizeof(key.address));
	return key;
}

/* NULL when out of memory. */
static struct pair_host *host_of(struct pair_decisions *decisions, uint64_t netns,
				 const struct sa_way *way)
{
	const struct pair_host_key key = host_key(netns, way);
	struct pair_host *host;

	HASH_FIND(hh, decisions->hosts, &key, sizeof(key), host);
	if (host)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	host->key = key;
	HASH_ADD(hh, decisions->hosts, key, sizeof(host->key), host);
	return host;
}

static void free_unused(struct pair_decisions *decisions, struct pair_host *host)
{
	if (host->count)
		return;
	HASH_DELETE(hh, decisions->hosts, host);
	free(host);
}

static void free_hosts(struct pair_decisions *decisions)
{
	struct pair_host *host, *next;

	HASH_ITER(hh, decisions->hosts, host, next)
	{
		HASH_DELETE(hh, decisions->hosts, host);
		free(host);
	}
}

/* ---- the end of a decision */

static int delete_pair(int map, const struct latch_pair *pair)
{
	int err = bpf_map_delete_elem(map, pair);

	return err == -ENOENT ? 0 : err;
}

/* Without a key a search begins at the first bucket: the next key is read before a delete. */
static int delete_all(int map)
{
	struct latch_pair pair, next;
	int end = bpf_map_get_next_key(map, NULL, &next), err = 0;

	while (!err && !end) {
		pair = next;
		end = bpf_map_get_next_key(map, &pair, &next);
		err = delete_pair(map, &pair);
	}
	if (err)
		return err;
	return end == -ENOENT ? 0 : end;
}

int pair_decisions_forget(struct pair_decisions *decisions)
{
	int err;

	if (!decisions->unknown && !decisions->count)
		return 0;
	decisions->unknown = true;
	err = delete_all(decisions->map);
	if (err)
		return err;
	decisions->unknown = false;
	decisions->count = 0;
	memset(decisions->of_peer, 0, sizeof(decisions->of_peer));
	free_hosts(decisions);
	return 0;
}

/* Then close_gaps(). After an error the next call deletes all. */
static int end_decision(struct pair_decisions *decisions, struct pair_decision *decision)
{
	int err = delete_pair(decisions->map, &decision->pair);

	decisions->unknown = err != 0;
	if (err)
		return err;
	decisions->of_peer[decision->peer]--;
	decision->host->count--;
	free_unused(decisions, decision->host);
	decision->ended = true;
	return 0;
}

/* The others stay in their order. */
static void close_gaps(struct pair_decisions *decisions)
{
	size_t i, left = 0;

	for (i = 0; i < decisions->count; i++) {
		if (decisions->kept[i].ended)
			continue;
		if (left != i)
			decisions->kept[left] = decisions->kept[i];
		left++;
	}
	decisions->count = left;
}

/* ---- a change */

/*
 * Peers choose how often something changes, and how much work an answer is. A decision that cannot
 * be made again within these bounds ends, and the next packet asks.
 */
static void begin_work(struct pair_decisions *decisions)
{
	uint64_t now = loop_now_ms();

	if (now < decisions->work_ms + PAIR_DECISIONS_WORK_MS)
		return;
	decisions->work_ms = now;
	decisions->work = 0;
	memset(decisions->work_of_peer, 0, sizeof(decisions->work_of_peer));
}

static uint64_t min_of(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static uint64_t rest_of(uint64_t most, uint64_t done)
{
	return most - min_of(most, done);
}

static uint64_t work_left(const struct pair_decisions *decisions,
			  const struct pair_decision *decision)
{
	bool young = loop_now_ms() - decision->made_ms < PAIR_DECISIONS_YOUNG_MS;
	uint64_t of_peer = decisions->work_of_peer[decision->peer];
	uint64_t least = young ? rest_of(PAIR_DECISIONS_WORK_LEAST, of_peer) : 0;
	uint64_t left = min_of(rest_of(PAIR_DECISIONS_WORK / (young ? 1 : 2), decisions->work),
			       rest_of(PAIR_DECISIONS_WORK_PEER / (young ? 1 : 2), of_peer));

	return left > least ? left : least;
}

static bool stays_alone(struct pair_decisions *decisions, struct sa_groups *groups,
			const struct pair_decision *decision, unsigned int scope)
{
	const struct sa_groups_alone answer = {
		.pair = &decision->pair,
		.peer = decision->peer,
		.numbered = decisions->numbered,
		.scope = scope,
	};
	uint64_t before = groups->work, left = work_left(decisions, decision);
	bool alone;

	if (decision->contested || !left)
		return false;
	alone = sa_groups_leave_alone(groups, &answer, min_of(left, SA_GROUP_PAIRS_WORK));
	decisions->work += groups->work - before;
	decisions->work_of_peer[decision->peer] += (uint32_t)(groups->work - before);
	return alone;
}

/* Of the changes that concern it most leave a decision as it was: a peer with all addresses in its
 * selectors may make one each moment. The newest ones come first, whose packet is sent again soon.
 */
static int end_concerned(struct pair_decisions *decisions, struct sa_groups *groups)
{
	struct pair_decision *decision;
	unsigned int scope;
	size_t i;
	int err = 0;

	begin_work(decisions);
	for (i = decisions->count; !err && i; i--) {
		decision = &decisions->kept[i - 1];
		scope = sa_group_changes_scope(groups, decisions->changes, &decision->pair,
					       decision->contested);
		if (scope && !stays_alone(decisions, groups, decision, scope))
			err = end_decision(decisions, decision);
	}
	close_gaps(decisions);
	return err;
}

int pair_decisions_follow(struct pair_decisions *decisions, struct sa_groups *groups)
{
	int err;

	if (groups->changes == decisions->changes && !decisions->unknown)
		return 0;
	err = decisions->unknown ? pair_decisions_forget(decisions)
				 : end_concerned(decisions, groups);
	if (err)
		return err;
	decisions->changes = groups->changes;
	decisions->numbered = groups->numbered;
	return 0;
}

/* ---- a new decision */

static bool goes_before(const struct pair_decisions *decisions, const struct pair_decision *one,
			const struct pair_decision *other)
{
	if (one->host->count != other->host->count)
		return one->host->count > other->host->count;
	return decisions->of_peer[one->peer] > decisions->of_peer[other->peer];
}

/* Each flow that asks may be of another pair: a host with many pairs ends its own decisions, the
 * oldest ones first.
 */
static int make_room(struct pair_decisions *decisions)
{
	size_t i, first = 0;
	int err;

	if (decisions->count < LATCH_PAIRS_MAX)
		return 0;
	for (i = 1; i < decisions->count; i++)
		if (goes_before(decisions, &decisions->kept[i], &decisions->kept[first]))
			first = i;
	err = end_decision(decisions, &decisions->kept[first]);
	close_gaps(decisions);
	return err;
}

static struct latch_pair pair_of(const struct latch_flow *flow, uint16_t params)
{
	struct latch_pair pair = {.netns = flow->netns, .params = params, .family = flow->family};

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	return pair;
}

/* It keeps its place in the order. */
static void note_again(struct pair_decisions *decisions, const struct pair_decision *made)
{
	size_t i;

	for (i = 0; i < decisions->count; i++)
		if (!memcmp(&decisions->kept[i].pair, &made->pair, sizeof(made->pair)))
			decisions->kept[i].contested = made->contested;
}

static int add(struct pair_decisions *decisions, const struct pair_decision *made,
	       uint32_t decision)
{
	int err = bpf_map_update_elem(decisions->map, &made->pair, &decision, BPF_NOEXIST);

	if (err)
		return err;
	made->host->count++;
	decisions->of_peer[made->peer]++;
	decisions->kept[decisions->count++] = *made;
	return 0;
}

int pair_decisions_put(struct pair_decisions *decisions, const struct latch_flow *flow,
		       const struct sa_group *group, bool contested)
{
	struct pair_decision made = {
		.pair = pair_of(flow, group->params),
		.made_ms = loop_now_ms(),
		.peer = group->peer,
		.contested = contested,
	};
	uint32_t decision = contested ? LATCH_PAIR_CONTESTED : LATCH_PAIR_ALONE;
	int err = bpf_map_update_elem(decisions->map, &made.pair, &decision, BPF_EXIST);

	if (!err)
		note_again(decisions, &made);
	if (err != -ENOENT)
		return err;
	err = make_room(decisions);
	if (err)
		return err;
	made.host = host_of(decisions, flow->netns, &group->way);
	if (!made.host)
		return -ENOMEM;
	err = add(decisions, &made, decision);
	free_unused(decisions, made.host);
	return err;
}
