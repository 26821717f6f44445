/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long walks, at a rate that peers or local users choose. They take a fifth of the time at most, so
 * that the loop serves other requests in between.
 */
#ifndef LATCHD_COMMON_WALK_PACE_H
#define LATCHD_COMMON_WALK_PACE_H

#include <stdint.h>
#include <time.h>

#include "common/loop.h"

#define WALK_PACE_FREE_MS 5 /* a shorter walk has no successor that waits */

struct walk_pace { /* zeroed before first use */
	clock_t begun;
	uint64_t due_ms; /* of the next walk */
	uint64_t count;
};

static inline void walk_pace_begin(struct walk_pace *pace)
{
	pace->begun = clock();
	pace->count++;
}

/* Counts processor time, so other processes have no effect. A short walk does not shorten a
 * wait. */
static inline void walk_pace_end(struct walk_pace *pace)
{
	uint64_t took_ms = (uint64_t)(clock() - pace->begun) * 1000 / CLOCKS_PER_SEC;
	uint64_t due_ms = loop_now_ms() + 4 * took_ms;

	if (took_ms >= WALK_PACE_FREE_MS && due_ms > pace->due_ms)
		pace->due_ms = due_ms;
}

/* No walk before then. */
static inline void walk_pace_hold(struct walk_pace *pace, unsigned int ms)
{
	uint64_t due_ms = loop_now_ms() + ms;

	if (due_ms > pace->due_ms)
		pace->due_ms = due_ms;
}

/* Time until the next walk; 0: now. */
static inline unsigned int walk_pace_wait_ms(const struct walk_pace *pace)
{
	uint64_t now = loop_now_ms();

	return pace->due_ms > now ? (unsigned int)(pace->due_ms - now) : 0;
}

#endif
