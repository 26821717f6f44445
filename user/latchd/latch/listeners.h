/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LISTENER latches of sockets whose listen() or close() the programs did not see. A dump
 * of all listening sockets, at the start and every minute, finds them and corrects the
 * number of sockets of each LISTENER latch.
 */
#ifndef LATCHD_LATCH_LISTENERS_H
#define LATCHD_LATCH_LISTENERS_H

#include <stdbool.h>

#include "latchd/maps/kernel_maps.h"
#include "common/loop.h"

/* The caller sets maps and adopt. */
struct listeners {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	bool adopt; /* create missing latches: the gates are attached to the root cgroup */
};

/* Counts the sockets once before it returns. */
void listeners_start(struct listeners *listeners, struct loop *loop);
void listeners_stop(struct listeners *listeners);

#endif
