/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard CGROUP NETNS...: the enforcement with the netfilter gate in namespaces of
 * ip-netns(8). It runs with reaper and dispositions as latchd runs them, and no other part
 * of latchd. Prints "ready". A line of input is a port, and an IPv4 address of a peer or
 * nothing: the latches of this local port (and this remote address) are broken. Runs until its
 * input ends; the pins remain.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/latch/disposition.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"
#include "latchd/latch/reaper.h"

#define LATCHES	   64
#define PENDING_MS 5000

static int cookie_of(void *context)
{
	uint64_t *cookie = context;
	socklen_t length = sizeof(*cookie);
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &length);
}

static int guard_namespace(const struct enforcement *enforcement, const char *name)
{
	char path[256];
	auto_close int fd = -1;
	uint64_t cookie = 0;
	int err;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -1 : netns_call(fd, cookie_of, &cookie);
	if (!err)
		err = netfilter_gate_attach(enforcement_netfilter_gate(enforcement), cookie, fd);
	if (err)
		fprintf(stderr, "guard: %s: the netfilter gate cannot be attached: %s\n", name,
			err < -1 ? strerror(-err) : "no such namespace");
	return err;
}

struct guard {
	const struct kernel_maps *maps;
	struct loop *loop;
	struct reaper reaper;
	struct disposition disposition;
	int port;
	uint8_t remote[16]; /* all 0: any */
};

static bool is_asked_for(const struct guard *guard, const struct latch_flow *flow)
{
	static const uint8_t any[sizeof(guard->remote)];

	return flow->local_port == guard->port &&
	       (!memcmp(guard->remote, any, sizeof(any)) ||
		!memcmp(guard->remote, flow->remote_addr, sizeof(any)));
}

static int break_if_asked_for(void *context, const struct latch_flow *flow,
			      const struct latch *latch)
{
	const struct guard *guard = context;
	int result = 0;

	if (is_asked_for(guard, flow))
		result = latch_break(guard->maps, flow, latch->id, LATCH_REASON_ADMIN, NULL);
	return result < 0 ? result : 0;
}

/* PORT [ADDRESS] */
static void take_line(struct guard *guard, char *line)
{
	char *save = NULL;
	const char *port = strtok_r(line, " \n", &save);
	const char *remote = strtok_r(NULL, " \n", &save);

	guard->port = port ? atoi(port) : 0;
	memset(guard->remote, 0, sizeof(guard->remote));
	if (remote && inet_pton(AF_INET, remote, guard->remote) != 1) {
		fprintf(stderr, "guard: '%s' is no IPv4 address\n", remote);
		guard->port = 0;
	}
}

static void on_input(void *context, uint32_t events)
{
	struct guard *guard = context;
	char line[64] = "";
	ssize_t length = read(STDIN_FILENO, line, sizeof(line) - 1);

	(void)events;
	if (length <= 0) {
		loop_stop(guard->loop);
		return;
	}
	take_line(guard, line);
	if (latches_walk(guard->maps, break_if_asked_for, guard))
		fprintf(stderr, "guard: cannot break\n");
	disposition_run_soon(&guard->disposition);
}

/* The disposition's only news: NEWS_LATCH_RESET. */
static void on_news(void *context, const struct news *news)
{
	(void)context;
	printf("reset %u %s\n", news->flow->local_port,
	       news->error ? strerror(-news->error) : "done");
	fflush(stdout);
}

static int guard_until_input_ends(const struct enforcement *enforcement)
{
	const struct kernel_maps *maps = enforcement_maps(enforcement);
	struct news_subscriber subscriber = {.fn = on_news};
	const struct news_bus news = {.first = &subscriber};
	struct guard guard = {
		.maps = maps,
		.loop = loop_new(),
		.reaper = {.maps = maps},
		.disposition = {.maps = maps, .news = &news},
	};
	int err =
		guard.loop ? loop_fd_add(guard.loop, STDIN_FILENO, EPOLLIN, on_input, &guard) : -1;

	if (!err) {
		reaper_start(&guard.reaper, guard.loop);
		disposition_start(&guard.disposition, guard.loop);
		puts("ready");
		fflush(stdout);
		err = loop_run(guard.loop);
		reaper_stop(&guard.reaper);
		disposition_stop(&guard.disposition);
	}
	loop_free(guard.loop);
	return err;
}

int main(int argc, char **argv)
{
	struct config config = {.latch_capacity = LATCHES, .pending_ms = PENDING_MS};
	struct enforcement *enforcement;
	struct failure failure;
	int i, err = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: guard CGROUP NETNS...\n");
		return 2;
	}
	config.cgroup_count = 0;
	if (enforcement_start(&config, argv[1], &enforcement, &failure)) {
		fprintf(stderr, "guard: %s\n", failure.text);
		return 1;
	}
	for (i = 2; !err && i < argc; i++)
		err = guard_namespace(enforcement, argv[i]);
	if (!err)
		err = guard_until_input_ends(enforcement);
	enforcement_free(enforcement);
	return err ? 1 : 0;
}
