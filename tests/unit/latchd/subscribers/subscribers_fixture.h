/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients and the service in one process, on one loop, with real maps.
 *
 *	client ---- AF_UNIX ----> service ----> maps: news_tokens, news_sockets
 *
 * A step waits at most LIMIT_MS.
 */
#ifndef LATCHD_TESTS_SUBSCRIBERS_FIXTURE_H
#define LATCHD_TESTS_SUBSCRIBERS_FIXTURE_H

#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latch_sockopt.h"

#include "common/loop.h"
#include "latchd/net/unread.h"
#include "latchd/subscribers/subscriber_news.h"
#include "latchd/subscribers/subscribers.h"
#include "scratch.h"

#ifndef LIMIT_MS
#define LIMIT_MS 20000
#endif

static struct loop *loop;
static struct news_bus bus;
static struct subscribers service;
static struct subscriber_news service_news;
static char news_path[128];
static struct loop_timer service_stop;

static inline void stop_loop(void *context)
{
	(void)context;
	loop_stop(loop);
}

static inline void run_for(unsigned int ms)
{
	loop_timer_init(loop, &service_stop, stop_loop, NULL);
	loop_timer_arm(&service_stop, ms);
	cr_assert_eq(loop_run(loop), 0);
}

/* Runs the service until the condition holds. */
#define serve_until(condition)                                                                     \
	do {                                                                                       \
		uint64_t limit_ = loop_now_ms() + LIMIT_MS;                                        \
		bool holds_;                                                                       \
                                                                                                   \
		while (!(holds_ = (condition)) && loop_now_ms() < limit_)                          \
			run_for(1);                                                                \
		cr_assert(holds_, "waited %d ms for " #condition, LIMIT_MS);                       \
	} while (0)

static inline void start_service(const struct kernel_maps *of)
{
	scratch_make();
	chmod(scratch_dir, 0755);
	snprintf(news_path, sizeof(news_path), "%s/run/news", scratch_dir);
	loop = loop_new();
	bus = (struct news_bus){0};
	subscribers_start(&service, loop, of, news_path);
	subscriber_news_start(&service_news, &bus, &service);
	subscribers_enable(&service, true);
	cr_assert_geq(service.file.fd, 0);
}

static inline void stop_service(void)
{
	subscribers_stop(&service);
	loop_free(loop);
	scratch_remove();
}

/* ---- clients */

/* Connected, and not greeted yet. A negative errno if that fails. */
static inline int dial_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err;

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	strcpy(address.sun_path, path);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static inline int dial(void)
{
	int fd = dial_at(news_path);

	cr_assert_geq(fd, 0, "%s: %s", news_path, strerror(-fd));
	return fd;
}

static inline bool is_readable_now(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	return poll(&readable, 1, 0) > 0;
}

static inline struct latch_news_greeting greeting_of(int fd)
{
	struct latch_news_greeting greeting = {0};

	serve_until(is_readable_now(fd));
	cr_assert_eq(recv(fd, &greeting, sizeof(greeting), MSG_DONTWAIT | MSG_TRUNC),
		     (ssize_t)sizeof(greeting));
	cr_assert_eq(greeting.size, sizeof(greeting));
	return greeting;
}

static inline struct latch_token token_of(const struct latch_news_greeting *greeting)
{
	struct latch_token token;

	memcpy(&token, greeting->token, sizeof(token));
	return token;
}

/* A client that has been greeted. */
static inline int join(struct latch_token *ret_token)
{
	int fd = dial();
	struct latch_news_greeting greeting = greeting_of(fd);

	cr_assert_eq(greeting.error, 0);
	if (ret_token)
		*ret_token = token_of(&greeting);
	return fd;
}

/* True: an item, which is the next one. False: none waits, or the connection has ended. */
static inline bool next_item(int fd, struct latch_news *ret)
{
	ssize_t length = recv(fd, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);

	if (length <= 0)
		return false;
	cr_assert_eq(length, (ssize_t)sizeof(*ret));
	cr_assert_eq(ret->size, sizeof(*ret));
	return true;
}

static inline bool is_ended(int fd)
{
	char byte;
	ssize_t length = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_PEEK);

	return !length || (length < 0 && errno == ECONNRESET);
}

#endif
