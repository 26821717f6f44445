/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard CGROUP NETNS...: the enforcement with gate (b) in namespaces of
 * ip-netns(8), and the reaper as latchd runs it, without anything else of latchd.
 * Prints "ready" and runs until its input ends. The pins go on.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/kernel/enforcement.h"
#include "latchd/kernel/netns.h"
#include "latchd/reaper.h"

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
		fprintf(stderr, "guard: %s: gate (b) cannot be attached: %s\n", name,
			err < -1 ? strerror(-err) : "no such namespace");
	return err;
}

static void on_input(void *context, uint32_t events)
{
	(void)events;
	loop_stop(context);
}

static int reap_until_input_ends(const struct enforcement *enforcement)
{
	struct reaper reaper = {.maps = enforcement_maps(enforcement)};
	struct loop *loop = loop_new();
	int err = loop ? loop_fd_add(loop, STDIN_FILENO, EPOLLIN, on_input, loop) : -1;

	if (!err) {
		reaper_start(&reaper, loop);
		puts("ready");
		fflush(stdout);
		err = loop_run(loop);
		reaper_stop(&reaper);
	}
	loop_free(loop);
	return err;
}

int main(int argc, char **argv)
{
	struct config config = {.latch_capacity = LATCHES, .pending_ms = PENDING_MS};
	struct enforcement *enforcement;
	char failure[512];
	int i, err = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: guard CGROUP NETNS...\n");
		return 2;
	}
	if (enforcement_start(&config, argv[1], &enforcement, failure, sizeof(failure))) {
		fprintf(stderr, "guard: %s\n", failure);
		return 1;
	}
	for (i = 2; !err && i < argc; i++)
		err = guard_namespace(enforcement, argv[i]);
	if (!err)
		err = reap_until_input_ends(enforcement);
	enforcement_free(enforcement);
	return err ? 1 : 0;
}
