/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a BROKEN latch's socket: it is reset (RFC 5660 section 5.5).
 * The gate drops the RST that the kernel would send on the way out.
 */
#ifndef LATCHD_DISPOSITION_H
#define LATCHD_DISPOSITION_H

#include "latch_abi.h"
#include "latchd/kernel/maps.h"
#include "latchd/loop.h"

struct disposition {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	/* error: 0, or the negative errno of why the socket could not be ended (yet). */
	void (*reset)(void *context, const struct latch_flow *flow, const struct latch *latch,
		      int error);
	void *context;
};

/* maps, reset and context are the caller's to set. Starts with what an earlier latchd left BROKEN. */
void disposition_start(struct disposition *disposition, struct loop *loop);
/* A latch was broken. */
void disposition_run_soon(struct disposition *disposition);
void disposition_stop(struct disposition *disposition);

#endif
