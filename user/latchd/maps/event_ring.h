/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the programs' events on the loop. Events are hints: a lost event changes no state. */
#ifndef LATCHD_MAPS_EVENT_RING_H
#define LATCHD_MAPS_EVENT_RING_H

#include "latch_abi.h"
#include "common/loop.h"

/* The limit of events in one round of the loop. A flood of events then delays no other handler. */
#define EVENT_RING_ROUND 256

struct event_ring;

/* The event is valid during the call only. The handler must not free the ring. */
typedef void (*event_ring_fn)(void *context, const struct latch_event *event);

/*
 * Borrows map_fd. 0 and a ring for event_ring_free(), or a negative errno. Events of another size
 * than struct latch_event are skipped.
 */
int event_ring_new(struct loop *loop, int map_fd, event_ring_fn handler, void *context,
		   struct event_ring **ret);
/* Call it before loop_free(). */
void event_ring_free(struct event_ring *ring);

#endif
