/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many TCP connections, for tests of the latches that they leave:
 *
 *	crowd serve ADDR PORT        accepts, answers each byte, closes; until killed
 *	crowd deaf ADDR PORT         listens with a backlog of 2, and never accepts
 *	crowd visit ADDR PORT COUNT  so many short connections, some at a time; every other
 *	                             one ends with a reset; then it prints how many were established
 *	crowd hold ADDR PORT COUNT   so many at once, without waiting for their end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define VISITORS   4
#define BACKLOG	   1024
#define VISIT_MS   20000
#define EVERY_STEP 1000 /* connections between two reports */

static struct addrinfo *resolve(const char *address, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	int err = getaddrinfo(address, port, &hints, &found);

	if (err) {
		fprintf(stderr, "crowd: %s port %s: %s\n", address, port, gai_strerror(err));
		exit(2);
	}
	return found;
}

static int must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
		exit(2);
	}
	return result;
}

static int listen_at(const struct addrinfo *at, int backlog)
{
	int fd = must(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"), on = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	must(bind(fd, at->ai_addr, at->ai_addrlen), "bind");
	must(listen(fd, backlog), "listen");
	puts("listening");
	fflush(stdout);
	return fd;
}

static int serve(const struct addrinfo *at)
{
	int listener = listen_at(at, BACKLOG), fd;
	char byte;

	for (;;) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (recv(fd, &byte, 1, 0) == 1)
			send(fd, &byte, 1, MSG_NOSIGNAL);
		close(fd);
	}
	return 0;
}

static int be_deaf(const struct addrinfo *at)
{
	listen_at(at, 2);
	for (;;)
		pause();
	return 0;
}

static void end(int fd, int reset)
{
	struct linger linger = {.l_onoff = 1};
	char byte;

	if (reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	else
		while (recv(fd, &byte, 1, 0) > 0)
			;
	close(fd);
}

static int visit_once(const struct addrinfo *at, int reset)
{
	int fd = must(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	struct timeval limit = {.tv_sec = VISIT_MS / 1000};
	char byte = 'x';
	int established;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	established = !connect(fd, at->ai_addr, at->ai_addrlen) &&
		      send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
	end(fd, reset);
	return established;
}

static int visit(const struct addrinfo *at, unsigned long count)
{
	unsigned long i, established = 0;

	for (i = 0; i < count; i++) {
		established += (unsigned long)visit_once(at, i & 1);
		if ((i + 1) % EVERY_STEP == 0)
			fprintf(stderr, "crowd: %lu of %lu\n", i + 1, count);
	}
	return established == count ? 0 : 1;
}

/* Each process makes an equal share of the connections, and the first one the remainder. */
static int visit_all(const struct addrinfo *at, unsigned long count)
{
	int i, status, failed = 0;

	for (i = 0; i < VISITORS; i++) {
		unsigned long share = count / VISITORS + (i ? 0 : count % VISITORS);
		pid_t pid = must(fork(), "fork");

		if (!pid)
			_exit(visit(at, share));
	}
	for (i = 0; i < VISITORS; i++) {
		must(wait(&status), "wait");
		failed |= status;
	}
	printf("%s\n", failed ? "some failed" : "all established");
	return failed ? 1 : 0;
}

static int hold(const struct addrinfo *at, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		int fd = must(socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
			      "socket");

		if (connect(fd, at->ai_addr, at->ai_addrlen) && errno != EINPROGRESS)
			must(-1, "connect");
	}
	puts("holding");
	fflush(stdout);
	for (;;)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";
	struct addrinfo *at = argc > 3 ? resolve(argv[2], argv[3]) : NULL;
	unsigned long count = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;

	if (!strcmp(what, "serve"))
		return serve(at);
	if (!strcmp(what, "deaf"))
		return be_deaf(at);
	if (!strcmp(what, "visit") && count)
		return visit_all(at, count);
	if (!strcmp(what, "hold") && count)
		return hold(at, count);
	fputs("usage: crowd serve|deaf ADDR PORT | visit|hold ADDR PORT COUNT\n", stderr);
	return 2;
}
