/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/event_ring.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/log.h"

struct event_ring {
	struct loop *loop;
	struct ring_buffer *buffer;
	event_ring_fn handler;
	void *context;
	unsigned int taken; /* in this round of the loop */
	bool logged_size;
};

static void log_size(struct event_ring *ring, size_t size)
{
	if (!ring->logged_size)
		log_warn("events",
			 "event of %zu bytes skipped (expected %zu): it is of other programs; "
			 "restart latchd, which loads its own",
			 size, sizeof(struct latch_event));
	ring->logged_size = true;
}

/* A negative result ends the round. libbpf counts the event as read all the same. */
static int on_event(void *context, void *data, size_t size)
{
	struct event_ring *ring = context;
	struct latch_event event;

	if (size == sizeof(event)) {
		memcpy(&event, data, sizeof(event));
		ring->handler(ring->context, &event);
	} else {
		log_size(ring, size);
	}
	return ++ring->taken < EVENT_RING_ROUND ? 0 : -EAGAIN;
}

/* Events left in the ring keep the descriptor readable, so that the loop returns to them. */
static void on_readable(void *context, uint32_t epoll_events)
{
	struct event_ring *ring = context;
	int result;

	(void)epoll_events;
	ring->taken = 0;
	result = ring_buffer__consume(ring->buffer);
	if (result < 0 && result != -EAGAIN)
		log_warn("events", "event ring not read (%s): events may be missing",
			 strerror(-result));
}

int event_ring_new(struct loop *loop, int map_fd, event_ring_fn handler, void *context,
		   struct event_ring **ret)
{
	struct event_ring *ring = calloc(1, sizeof(*ring));
	int err = -ENOMEM;

	if (!ring)
		return err;
	*ring = (struct event_ring){.loop = loop, .handler = handler, .context = context};
	ring->buffer = ring_buffer__new(map_fd, on_event, ring, NULL);
	err = ring->buffer ? loop_fd_add(loop, ring_buffer__epoll_fd(ring->buffer), EPOLLIN,
					 on_readable, ring)
			   : -errno;
	if (err) {
		ring_buffer__free(ring->buffer);
		free(ring);
		return err;
	}
	*ret = ring;
	return 0;
}

void event_ring_free(struct event_ring *ring)
{
	if (!ring)
		return;
	loop_fd_remove(ring->loop, ring_buffer__epoll_fd(ring->buffer));
	ring_buffer__free(ring->buffer);
	free(ring);
}
