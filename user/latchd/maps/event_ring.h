/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs' events, read on the loop. They are hints: a lost one changes no state. */
#ifndef LATCHD_MAPS_EVENT_RING_H
#define LATCHD_MAPS_EVENT_RING_H

#include "latch_abi.h"
#include "common/loop.h"

/* Events taken in one round of the loop, so that a flood of them cannot keep others waiting. */
#define EVENT_RING_ROUND 256

struct event_ring;

/* Must not free the ring. */
typedef void (*event_ring_fn)(void *context, const struct latch_event *event);

/* 0 or a negative errno. Events of another size than ours are skipped. */
int event_ring_new(struct loop *loop, int map_fd, event_ring_fn handler, void *context,
		   struct event_ring **ret);
/* Before the loop's own end. */
void event_ring_free(struct event_ring *ring);

#endif
