/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#endif
#include "latch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_SECONDS 5
#define NEWS_FIRST   40 /* the size of the first struct latch_news */

static int begin(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = WAIT_SECONDS};
	size_t length = strlen(path);

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	return 0;
}

static int greeted(int fd, __u8 token[16])
{
	struct latch_news_greeting greeting;
	ssize_t length = recv(fd, &greeting, sizeof(greeting), 0);

	if (length < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (length != sizeof(greeting) || greeting.size < sizeof(greeting))
		return -EPROTO;
	if (greeting.error)
		return greeting.error > 0 ? -greeting.error : -EPROTO;
	memcpy(token, greeting.token, sizeof(greeting.token));
	return 0;
}

int latch_news_open(struct latch_news_channel *channel, const char *path)
{
	int before = errno, err, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	err = fd < 0 ? -errno : begin(fd, path ? path : LATCH_NEWS_PATH);
	if (!err)
		err = greeted(fd, channel->token);
	channel->fd = err ? -1 : fd;
	if (err && fd >= 0)
		close(fd);
	errno = before;
	return err;
}

/* The kernel gives a socket its cookie when it is asked for it. */
int latch_news_add(const struct latch_news_channel *channel, int fd, __u64 data)
{
	struct latch_subscribe wanted = {.size = sizeof(wanted), .data = data};
	int before = errno, err = 0;
	__u64 cookie;
	socklen_t length = sizeof(cookie);

	memcpy(wanted.token, channel->token, sizeof(wanted.token));
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) ||
	    setsockopt(fd, SOL_LATCH, LATCH_OPT_NEWS, &wanted, sizeof(wanted)))
		err = -errno;
	errno = before;
	return err == -ENOPROTOOPT ? -LATCH_UNAVAILABLE : err;
}

/* A later latchd's item is cut by the kernel: a structure grows at its end only. */
static void fill_up(struct latch_news *item, size_t length, size_t size)
{
	memset((char *)item + length, 0, size - length);
	item->size = (__u32)length;
}

int latch_news_read(const struct latch_news_channel *channel, struct latch_news *item, size_t size)
{
	int before = errno, err = 0;
	ssize_t length;

	if (size < NEWS_FIRST)
		return -EINVAL;
	length = recv(channel->fd, item, size, MSG_DONTWAIT);
	if (!length || (length < 0 && errno == ECONNRESET))
		err = -EPIPE;
	else if (length < 0)
		err = -errno;
	else if (length < NEWS_FIRST)
		err = -EPROTO;
	else
		fill_up(item, (size_t)length, size);
	errno = before;
	return err;
}
