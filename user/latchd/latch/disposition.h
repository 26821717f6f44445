/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a BROKEN latch's socket (RFC 5660 section 5.5), by what the
 * latch was born with. The gate drops all of its packets in any case.
 *
 *   reset        it is ended, and the gate drops its RST; with LATCH_RULE_TIMEOUT
 *                TCP is made to give up by itself instead
 *   wait         nothing: TCP's own timers run, and go on when the latch heals
 *   unreachable  a handshake is ended, what is established waits (RFC 1122,
 *                4.2.3.9); SCTP finds out that the path is shut
 */
#ifndef LATCHD_LATCH_DISPOSITION_H
#define LATCHD_LATCH_DISPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"
#include "common/loop.h"

struct disposition {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	/*
	 * Ended, or made to time out. error: 0, or the negative errno of why the socket could
	 * not be ended (yet); again: it was tried before, and told.
	 */
	void (*reset)(void *context, const struct latch_flow *flow, const struct latch *latch,
		      int error, bool again);
	void *context;
	uint64_t walked; /* CLOCK_BOOTTIME ns: what broke before then was tried already */
};

/* maps, reset and context are the caller's to set. Starts with what an earlier latchd left BROKEN.
 */
void disposition_start(struct disposition *disposition, struct loop *loop);
/* A latch was broken. */
void disposition_run_soon(struct disposition *disposition);
void disposition_stop(struct disposition *disposition);

#endif
