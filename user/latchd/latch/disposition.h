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
#include "common/loop.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct disposition {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	const struct news_bus *news; /* LATCH_RESET: a socket was ended or made to time out */
	uint64_t walked; /* CLOCK_BOOTTIME ns: what broke before then was tried already */
};

/* maps and news are the caller's to set. Starts with what an earlier latchd left BROKEN. */
void disposition_start(struct disposition *disposition, struct loop *loop);
/* A latch was broken. */
void disposition_run_soon(struct disposition *disposition);
void disposition_stop(struct disposition *disposition);

#endif
