/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks over all latches, at a rate that peers choose. They take a fifth of the time at most, so
 * that the loop serves other requests in between.
 */
#ifndef LATCHD_SA_WALK_PACE_H
#define LATCHD_SA_WALK_PACE_H

#include <stdint.h>
#include <time.h>

#include "common/loop.h"

#define WALK_PACE_FREE_MS 5 /* a shorter walk has no successor that waits */

struct walk_pace { /* zeroed before first use */
	clock_t begun;
	uint64_t took_ms; /* of the processor: other processes count for nothing */
	uint64_t ended_ms;
	uint64_t count;
};

static inline void walk_pace_begin(struct walk_pace *pace)
{
	pace->begun = clock();
	pace->count++;
}

static inline void walk_pace_end(struct walk_pace *pace)
{
	pace->took_ms = (uint64_t)(clock() - pace->begun) * 1000 / CLOCKS_PER_SEC;
	pace->ended_ms = loop_now_ms();
}

/* Time until the next walk; 0: now. */
static inline unsigned int walk_pace_wait_ms(const struct walk_pace *pace)
{
	uint64_t due = pace->ended_ms + 4 * pace->took_ms, now = loop_now_ms();

	return pace->took_ms >= WALK_PACE_FREE_MS && due > now ? (unsigned int)(due - now) : 0;
}

#endif
