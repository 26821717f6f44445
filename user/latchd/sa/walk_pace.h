/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks over all latches whose number peers choose. They take a fifth of the time at most, so that
 * the loop serves other requests in between.
 */
#ifndef LATCHD_SA_WALK_PACE_H
#define LATCHD_SA_WALK_PACE_H

#include <stdint.h>

#include "common/loop.h"

struct walk_pace { /* zeroed before first use */
	uint64_t begun_ms, ended_ms;
	uint64_t count;
};

static inline void walk_pace_begin(struct walk_pace *pace)
{
	pace->begun_ms = loop_now_ms();
	pace->count++;
}

static inline void walk_pace_end(struct walk_pace *pace)
{
	pace->ended_ms = loop_now_ms();
}

/* Time until the next walk; 0: now. */
static inline unsigned int walk_pace_wait_ms(const struct walk_pace *pace)
{
	uint64_t due = pace->ended_ms + 4 * (pace->ended_ms - pace->begun_ms), now = loop_now_ms();

	return due > now ? (unsigned int)(due - now) : 0;
}

#endif
