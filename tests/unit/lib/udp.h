/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP sockets on the loopback of the network namespace of tcp.h. */
#ifndef LATCHD_TESTS_UDP_H
#define LATCHD_TESTS_UDP_H

#include "tcp.h"

/* Bound, not connected. Port 0: the kernel chooses. shared: other sockets may have the same name.
 */
static inline int udp_socket(struct address address, bool shared)
{
	int fd = namespace_socket(&ns, address.any.sa_family, SOCK_DGRAM), on = 1;

	if (shared)
		cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, &address.any, address.length), 0, "%s", strerror(errno));
	return fd;
}

/*
 * The kernel chooses the port, which is then bound by number: a socket keeps such a port when it
 * disconnects.
 */
static inline int udp_bound(const char *text)
{
	int fd = udp_socket(address_of(text, 0), false);
	struct address chosen = name_of(fd, getsockname);

	close(fd);
	return udp_socket(chosen, false);
}

static inline void udp_connect(int fd, struct address there)
{
	cr_assert_eq(connect(fd, &there.any, there.length), 0, "%s", strerror(errno));
}

static inline void udp_disconnect(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	cr_assert_eq(connect(fd, &none, sizeof(none)), 0);
}

/* Two sockets, each connected to the other. Their families may differ. */
static inline struct pair udp_pair(const char *one, const char *other)
{
	struct pair pair = {.listener = -1, .client = udp_bound(one), .server = udp_bound(other)};
	uint16_t client = port_of(pair.client), server = port_of(pair.server);

	udp_connect(pair.client, address_of(one, server));
	udp_connect(pair.server, address_of(other, client));
	return pair;
}

static inline void udp_close(struct pair *pair)
{
	close(pair->client);
	close(pair->server);
}

static inline struct latch_flow udp_flow(int fd)
{
	struct latch_flow flow = flow_of(fd);

	flow.protocol = IPPROTO_UDP;
	return flow;
}

/* 0 or a negative errno. */
static inline int udp_send(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

static inline int udp_send_to(int fd, struct address there)
{
	return sendto(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, &there.any, there.length) == 1
		       ? 0
		       : -errno;
}

#endif
