/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map "pairs" of the programs: between which two addresses a contested SA may start latches all
 * the same. A decision is made at the first flow that asks. When a group of CHILD_SAs that concerns
 * it begins or ceases to count, or the SPD or a device has changed for it, it is made again or
 * ends: before any SA is bound after it. A full table gives up the oldest decision of the peer with
 * most of them, at the remote host with most: a host may have many identities.
 */
#ifndef LATCHD_SA_CONFLICT_PAIR_DECISIONS_H
#define LATCHD_SA_CONFLICT_PAIR_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hash.h"
#include "latch_abi.h"
#include "latchd/sa/child/sa_group.h"

/*
 * Work to make decisions again, in this time: some milliseconds. One peer's. A young decision is of
 * use: TCP sends its packet again after 1, 3 and 7 seconds. Older ones leave half to young ones,
 * and the young ones of each peer have a least share.
 */
#define PAIR_DECISIONS_WORK_MS	  100
#define PAIR_DECISIONS_WORK	  262144
#define PAIR_DECISIONS_WORK_PEER  (PAIR_DECISIONS_WORK / 4)
#define PAIR_DECISIONS_WORK_LEAST 4096
#define PAIR_DECISIONS_YOUNG_MS	  8000

/* The outer address of the peers; of IPv6 its first 64 bits, which one host may have. */
struct pair_host_key {
	uint64_t netns;
	uint8_t address[16];
	uint8_t family;
	uint8_t pad[7];
};

struct pair_host {
	struct pair_host_key key;
	unsigned int count; /* of its decisions */
	UT_hash_handle hh;
};

struct pair_decision {
	struct latch_pair pair;
	struct pair_host *host;
	uint64_t made_ms;
	uint16_t peer; /* as of the group */
	bool contested;
	bool ended;
};

struct pair_decisions { /* begins with pair_decisions_start() */
	int map;
	bool unknown;	   /* the map may hold decisions of before */
	uint64_t changes;  /* sa_groups.changes of these decisions, */
	uint64_t numbered; /* and sa_groups.numbered */
	size_t count;	   /* in the order of their making */
	struct pair_decision kept[LATCH_PAIRS_MAX];
	uint16_t of_peer[LATCH_IDENTITIES_MAX + 1];
	struct pair_host *hosts;
	uint64_t work_ms, work; /* since then */
	uint32_t work_of_peer[LATCH_IDENTITIES_MAX + 1];
};

/* An earlier latchd may have left decisions. */
void pair_decisions_start(struct pair_decisions *decisions, int map);

/* Deletes the decisions that are no longer true by changes since. 0 or a negative errno: some are
 * left, and no SA may be bound. */
int pair_decisions_follow(struct pair_decisions *decisions, struct sa_groups *groups);
/* Deletes all. 0 or a negative errno. */
int pair_decisions_forget(struct pair_decisions *decisions);

/* For the two addresses of the flow, which came under an SA of the group. 0 or a negative errno. */
int pair_decisions_put(struct pair_decisions *decisions, const struct latch_flow *flow,
		       const struct sa_group *group, bool contested);

#endif
