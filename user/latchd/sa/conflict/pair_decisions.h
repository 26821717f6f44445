/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map "pairs" of the programs: between which two addresses a contested SA may start latches all
 * the same. A decision is made at the first flow that asks. All end when a group of CHILD_SAs
 * begins or ceases to count, or when the SPD or a device has changed: before any SA is bound after
 * it.
 */
#ifndef LATCHD_SA_CONFLICT_PAIR_DECISIONS_H
#define LATCHD_SA_CONFLICT_PAIR_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

/* Decisions that flows under SAs of one peer have asked for. Hosts behind a peer may be many. */
#define PAIR_DECISIONS_SHARE_MAX (LATCH_PAIRS_MAX / 4)

struct pair_decisions { /* begins with pair_decisions_start() */
	int map;
	bool unknown; /* the map may hold decisions of before */
	size_t count;
	uint64_t changes; /* sa_groups.changes of these decisions */
	uint16_t of_params[LATCH_PARAMS_MAX + 1];
};

/* An earlier latchd may have left decisions. */
void pair_decisions_start(struct pair_decisions *decisions, int map);

/* Deletes all decisions if changes is another number than before. 0 or a negative errno: some are
 * left, and no SA may be bound. */
int pair_decisions_follow(struct pair_decisions *decisions, uint64_t changes);
int pair_decisions_forget(struct pair_decisions *decisions);

/*
 * For the two addresses of the flow, which came under an SA of these params. 0 or a negative errno;
 * -ENOSPC: the table, or the share of these params, is full.
 */
int pair_decisions_put(struct pair_decisions *decisions, const struct latch_flow *flow,
		       uint16_t params, bool contested);

#endif
