/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deletes latches after their owner ended without an event: a request socket that timed
 * out, a TIME_WAIT socket that expired, a full socket without a callback.
 */
#ifndef LATCHD_LATCH_REAPER_H
#define LATCHD_LATCH_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "common/loop.h"
#include "common/walk_pace.h"

struct reaper {
	struct loop_timer timer;
	const struct kernel_maps *maps; /* set by the caller */
	uint64_t audit_due;		/* CLOCK_BOOTTIME ns: when full sockets are checked again */
	bool sweeping;			/* through all latches, in rounds */
	bool auditing;			/* this sweep checks full sockets, too */
	struct walk_pace walks;		/* peers choose the number of handshakes */
	unsigned int left;		/* latches that this sweep has checked and kept */
};

void reaper_start(struct reaper *reaper, struct loop *loop);
void reaper_stop(struct reaper *reaper);

#endif
