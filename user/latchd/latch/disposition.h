/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disposition of a BROKEN latch's socket (RFC 5660 section 5.5), set when the latch is
 * created. The gates drop all packets of the flow in any case.
 *
 *   reset        the socket is ended, and the gates drop its RST; with LATCH_RULE_TIMEOUT
 *                TCP itself gives the connection up instead
 *   wait         no action: TCP's own timers run, and the connection continues when the
 *                latch heals
 *   unreachable  a handshake is ended, an established connection waits (RFC 1122,
 *                4.2.3.9); SCTP detects that the path is down
 */
#ifndef LATCHD_LATCH_DISPOSITION_H
#define LATCHD_LATCH_DISPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "common/loop.h"
#include "common/walk_pace.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct disposition {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	const struct news_bus *news; /* LATCH_RESET: a socket was ended or made to time out */
	struct walk_pace walks;	     /* peers choose how often latches break */
	uint64_t walked; /* CLOCK_BOOTTIME ns: latches broken before were tried already */
};

/* The caller sets maps and news. Starts with the latches that an earlier latchd left BROKEN. */
void disposition_start(struct disposition *disposition, struct loop *loop);
/* Call it when a latch breaks. */
void disposition_run_soon(struct disposition *disposition);
void disposition_stop(struct disposition *disposition);

#endif
