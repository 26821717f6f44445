/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Latches whose owner left without a word: a request socket that timed out, a
 * TIME_WAIT that is over, a full socket of which no callback came.
 */
#ifndef LATCHD_LATCH_REAPER_H
#define LATCHD_LATCH_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "common/loop.h"

struct reaper {
	struct loop_timer timer;
	const struct kernel_maps *maps; /* the caller's to set */
	uint64_t audit_due; /* CLOCK_BOOTTIME ns: when full sockets are looked for again */
	bool sweeping;	    /* through all latches, in rounds */
	bool auditing;	    /* full sockets are looked for in this sweep */
	unsigned int left;  /* how many of this sweep's had their turn and live on */
};

void reaper_start(struct reaper *reaper, struct loop *loop);
void reaper_stop(struct reaper *reaper);

#endif
