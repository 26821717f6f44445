/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes that wait to be sent to a client of the control socket. */
#ifndef LATCHD_CONTROL_CONTROL_QUEUE_H
#define LATCHD_CONTROL_CONTROL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/json_writer.h"

/* Zeroed before first use. */
struct control_queue {
	char *bytes; /* [start, end) is not sent yet */
	size_t start, end, capacity;
};

static inline size_t control_queue_length(const struct control_queue *queue)
{
	return queue->end - queue->start;
}

/*
 * Adds a whole line, with a newline if it has none. False, and nothing is added: no
 * memory, or more than limit bytes would wait.
 */
bool control_queue_line(struct control_queue *queue, const char *line, size_t length, size_t limit);

/* Adds the writer's text, and forgets it there. -ENOMEM: nothing is changed. */
int control_queue_take(struct control_queue *queue, struct json_writer *w);

/* The number of bytes sent; 0: the socket takes none now; or a negative errno. */
ssize_t control_queue_send(struct control_queue *queue, int fd);

void control_queue_release(struct control_queue *queue);

#endif
