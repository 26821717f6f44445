/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define QUEUE_CAPACITY_FIRST 4096

/* Waiting bytes move to the front only when that frees half: cheap on average. */
static bool reserve(struct control_queue *queue, size_t more)
{
	size_t capacity = queue->capacity ? queue->capacity : QUEUE_CAPACITY_FIRST;
	size_t length = control_queue_length(queue);
	char *bytes;

	if (queue->start > capacity / 2) {
		memmove(queue->bytes, queue->bytes + queue->start, length);
		queue->end = length;
		queue->start = 0;
	}
	while (capacity < queue->end + more)
		capacity *= 2;
	if (capacity == queue->capacity)
		return true;
	bytes = realloc(queue->bytes, capacity);
	if (!bytes)
		return false;
	queue->bytes = bytes;
	queue->capacity = capacity;
	return true;
}

bool control_queue_line(struct control_queue *queue, const char *line, size_t length, size_t limit)
{
	if (control_queue_length(queue) + length + 1 > limit || !reserve(queue, length + 1))
		return false;
	memcpy(queue->bytes + queue->end, line, length);
	queue->end += length;
	if (!length || line[length - 1] != '\n')
		queue->bytes[queue->end++] = '\n';
	return true;
}

int control_queue_take(struct control_queue *queue, struct json_writer *w)
{
	if (!reserve(queue, w->length))
		return -ENOMEM;
	memcpy(queue->bytes + queue->end, w->text, w->length);
	queue->end += w->length;
	json_next_part(w);
	return 0;
}

ssize_t control_queue_send(struct control_queue *queue, int fd)
{
	ssize_t sent;

	do
		sent = send(fd, queue->bytes + queue->start, control_queue_length(queue),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	queue->start += (size_t)sent;
	return sent;
}

void control_queue_release(struct control_queue *queue)
{
	free(queue->bytes);
	*queue = (struct control_queue){0};
}
