/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LISTENER latches of sockets with a listen() or close() that the programs did not see. A dump
 * of all listening sockets, at the start and every minute, finds them and corrects the number of
 * sockets of each LISTENER latch. Local users choose the number of namespaces and listening
 * sockets. So the dumps of a sweep are made in turns, and local users' share of it is limited.
 */
#ifndef LATCHD_LATCH_LISTENERS_H
#define LATCHD_LATCH_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "common/loop.h"

/* The caller sets maps and adopt. */
struct listeners {
	struct loop_timer timer;
	const struct kernel_maps *maps;
	bool adopt; /* create missing latches: the gates are attached to the root cgroup */
	/* The namespaces of a sweep, in turns: first those of the host, then some of local users.
	 */
	uint64_t *namespaces;
	size_t count, own, next;
	uint64_t last_foreign; /* the last namespace of a local user in the last sweep */
	int err;	       /* of this sweep */
};

/* Counts the sockets in the namespaces of the host once before it returns. */
void listeners_start(struct listeners *listeners, struct loop *loop);
void listeners_stop(struct listeners *listeners);

#endif
