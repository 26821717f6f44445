/* SPDX-License-Identifier: BSD-2-Clause */
/* A TCP connection over the loopback of a namespace of the test's own, with both of its ends. */
#ifndef LATCHD_TESTS_TCP_PAIR_H
#define LATCHD_TESTS_TCP_PAIR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "namespace.h"

#include "latch_abi.h"

struct tcp_pair {
	int listener, client, server;
};

static inline struct tcp_pair tcp_pair_connect(const struct namespace *ns)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	struct tcp_pair pair = {
		.listener = namespace_socket(ns, AF_INET, SOCK_STREAM),
		.client = namespace_socket(ns, AF_INET, SOCK_STREAM),
	};

	cr_assert_eq(bind(pair.listener, (struct sockaddr *)&address, length), 0);
	cr_assert_eq(listen(pair.listener, 8), 0);
	cr_assert_eq(getsockname(pair.listener, (struct sockaddr *)&address, &length), 0);
	cr_assert_eq(connect(pair.client, (struct sockaddr *)&address, length), 0);
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	return pair;
}

static inline void tcp_pair_close(struct tcp_pair *pair)
{
	close(pair->client);
	close(pair->server);
	close(pair->listener);
}

static inline struct latch_flow tcp_flow(const struct namespace *ns, int fd)
{
	struct latch_flow flow = {
		.netns = ns->cookie,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
	struct sockaddr_in local = {0}, remote = {0};
	socklen_t length = sizeof(local);

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&local, &length), 0);
	cr_assert_eq(getpeername(fd, (struct sockaddr *)&remote, &length), 0);
	memcpy(flow.local_addr, &local.sin_addr, 4);
	memcpy(flow.remote_addr, &remote.sin_addr, 4);
	flow.local_port = ntohs(local.sin_port);
	flow.remote_port = ntohs(remote.sin_port);
	return flow;
}

static inline int tcp_error(int fd)
{
	socklen_t length = sizeof(int);
	int error = -1;

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

static inline void tcp_expect_alive(int from, int to, int limit_ms)
{
	struct pollfd readable = {.fd = to, .events = POLLIN};
	char byte = 'x';

	cr_expect_eq(send(from, &byte, 1, MSG_NOSIGNAL), 1, "%s", strerror(errno));
	cr_expect_eq(poll(&readable, 1, limit_ms), 1);
	byte = 0;
	cr_expect_eq(recv(to, &byte, 1, MSG_DONTWAIT), 1, "%s", strerror(errno));
	cr_expect_eq(byte, 'x');
}

/* The client's end is in TIME_WAIT afterwards. */
static inline void tcp_pair_end(struct tcp_pair *pair)
{
	char byte;

	cr_assert_eq(shutdown(pair->client, SHUT_WR), 0);
	cr_assert_eq(recv(pair->server, &byte, 1, 0), 0);
	close(pair->server);
	cr_assert_eq(recv(pair->client, &byte, 1, 0), 0);
	close(pair->client);
	close(pair->listener);
}

#endif
