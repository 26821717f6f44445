/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LISTENER latches of sockets that the programs have not seen begin to listen, or
 * end: those are found by a dump of all listening sockets, at the start and then now
 * and then, and the latches' numbers of sockets put right.
 */
#ifndef LATCHD_LATCH_LISTENERS_H
#define LATCHD_LATCH_LISTENERS_H

#include <stdbool.h>

#include "latchd/maps/kernel_maps.h"
#include "common/loop.h"

/* maps and adopt are the caller's to set. */
struct listeners {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	bool adopt; /* all sockets are the gates' concern: none is in another cgroup */
};

/* Counts once before it returns. */
void listeners_start(struct listeners *listeners, struct loop *loop);
void listeners_stop(struct listeners *listeners);

#endif
