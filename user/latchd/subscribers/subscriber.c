/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/subscribers/subscriber.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "common/clock.h"

#define AGAIN_MS 100 /* the memory for an item was short */

static int send_message(int fd, const void *message, size_t size)
{
	ssize_t sent = send(fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0)
		return -errno;
	return (size_t)sent == size ? 0 : -EIO;
}

int subscriber_draw(struct latch_token *ret)
{
	struct latch_token token;
	ssize_t length = getrandom(&token, sizeof(token), 0);

	if (length != (ssize_t)sizeof(token) || (!token.words[0] && !token.words[1]))
		return -EAGAIN;
	*ret = token;
	return 0;
}

int subscriber_greet(int fd, int error, const struct latch_token *token)
{
	struct latch_news_greeting greeting = {.size = sizeof(greeting), .error = error};

	_Static_assert(sizeof(*token) == sizeof(greeting.token), "the whole token");
	if (token)
		memcpy(greeting.token, token, sizeof(*token));
	return send_message(fd, &greeting, sizeof(greeting));
}

static int send_item(const struct subscriber *subscriber, struct latch_news *item)
{
	item->size = sizeof(*item);
	item->time_ns = clock_boot_ns();
	return send_message(subscriber->fd, item, sizeof(*item));
}

/*
 * A connection that has ended is removed by its own event. Without memory it stays writable, so a
 * timer and not epoll tells when to try again.
 */
void subscriber_tell_lost(struct subscriber *subscriber)
{
	struct latch_news lost = {.event = LATCH_NEWS_LOST};
	int err = send_item(subscriber, &lost);

	loop_timer_cancel(&subscriber->again);
	if (err && err != -EAGAIN)
		loop_timer_arm(&subscriber->again, AGAIN_MS);
	if (err || subscriber->lost)
		loop_fd_modify(subscriber->loop, subscriber->fd, err == -EAGAIN ? EPOLLOUT : 0);
	subscriber->lost = err != 0;
}

void subscriber_tell(struct subscriber *subscriber, struct latch_news *item)
{
	if (!subscriber->lost && send_item(subscriber, item))
		subscriber_tell_lost(subscriber);
}

static void on_again(void *context)
{
	subscriber_writable(context);
}

void subscriber_start(struct subscriber *subscriber)
{
	loop_timer_init(subscriber->loop, &subscriber->again, on_again, subscriber);
}

void subscriber_stop(struct subscriber *subscriber)
{
	loop_timer_cancel(&subscriber->again);
}

void subscriber_writable(struct subscriber *subscriber)
{
	if (subscriber->lost)
		subscriber_tell_lost(subscriber);
}
