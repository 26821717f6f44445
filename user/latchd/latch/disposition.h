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
#include "latchd/latch/attempts.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

/*
 * Peers choose the number of latches that break at a time, and of broken latches without a socket.
 * So work is done in rounds, with pauses for other work of the loop.
 */
#define DISPOSITION_LOOKUPS    1024 /* of sockets by their addresses, in a round */
#define DISPOSITION_SEARCHES   64   /* by a walk over all sockets */
#define DISPOSITION_HANDSHAKES 32   /* share of latches of handshakes, which cost a peer least */
#define DISPOSITION_TIMEOUTS   16   /* namespaces with sockets that are made to time out */
#define DISPOSITION_PAUSE_MS   50

struct disposition {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	const struct news_bus *news; /* LATCH_RESET: a socket was ended or made to time out */
	struct attempts attempts;
	uint64_t ended_ms; /* the last round */
	bool again;	   /* another round follows later */
};

/* The caller sets maps and news. Starts with the latches that an earlier latchd left BROKEN. */
void disposition_start(struct disposition *disposition, struct loop *loop);
/* Call it when a latch breaks. */
void disposition_run_soon(struct disposition *disposition);
/*
 * Call it when enforcement begins. A packet under way may still create the mark of its flow after
 * the first walk.
 */
void disposition_run_twice(struct disposition *disposition);
void disposition_stop(struct disposition *disposition);

#endif
