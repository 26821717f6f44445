/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets of one worker, of all kinds and in all states, with the wishes that they have taken. None
 * has a latch: a peer that one of them tells is a fault. Its packets are in clear: one that passes
 * a wish is a fault.
 */
#ifndef ASK_OWN_H
#define ASK_OWN_H

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "latch_sockopt.h"
#include "results.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct kind {
	int family, type, protocol;
	bool served;
};

/* Some are not available to each user and on each kernel. */
static const struct kind kinds[] = {
	{AF_INET, SOCK_STREAM, IPPROTO_TCP, true},
	{AF_INET6, SOCK_STREAM, IPPROTO_TCP, true},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDP, true},
	{AF_INET6, SOCK_DGRAM, IPPROTO_UDP, true},
	{AF_INET, SOCK_STREAM, IPPROTO_MPTCP, false},
	{AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, false},
	{AF_INET, SOCK_STREAM, IPPROTO_SCTP, false},
	{AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, false},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, false},
	{AF_INET, SOCK_RAW, IPPROTO_TCP, false},
	{AF_INET6, SOCK_RAW, IPPROTO_UDP, false},
	{AF_INET, SOCK_DGRAM, IPPROTO_ICMP, false},
	{AF_UNIX, SOCK_STREAM, 0, false},
	{AF_UNIX, SOCK_DGRAM, 0, false},
	{AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, false},
	{AF_PACKET, SOCK_DGRAM, 0, false},
	{AF_VSOCK, SOCK_STREAM, 0, false},
	{AF_ALG, SOCK_SEQPACKET, 0, false},
};

#define KIND_COUNT  (sizeof(kinds) / sizeof(kinds[0]))
#define SERVED_LAST 4 /* of kinds */

enum text_wish {
	TEXT_PEER,
	TEXT_CONNECTION,
	TEXT_LOCAL,
	TEXT_TAG,
	TEXT_COUNT,
};

static const int text_options[TEXT_COUNT] = {LATCH_OPT_EXPECT_PEER, LATCH_OPT_EXPECT_CONNECTION,
					     LATCH_OPT_EXPECT_LOCAL, LATCH_OPT_EXPECT_TAG};

/* What the kernel has taken. */
struct wished {
	int require, class, disposition, protection, datagrams;
	struct latch_least least;
	char text[TEXT_COUNT][LATCH_TEXT_MAX];
};

struct own {
	int fd; /* -1: none */
	const struct kind *kind;
	struct wished wished;
	bool listens, connecting, connected, bound;
	bool unsure; /* UDP: a datagram may have passed before its wish */
};

static inline bool is_stream(const struct own *own)
{
	return own->kind->served && own->kind->type == SOCK_STREAM;
}

static inline bool is_datagram(const struct own *own)
{
	return own->kind->served && own->kind->type == SOCK_DGRAM;
}

static inline bool asks_for_quality(const struct latch_least *least)
{
	return least->encryption_bits || least->icv_bits || least->confidential ||
	       least->replay_protection || least->esn;
}

/* It requires a latch: PROTECTION alone does not. */
static inline bool is_wished(const struct wished *wished)
{
	return wished->require || wished->class || wished->disposition || wished->datagrams ||
	       asks_for_quality(&wished->least) || wished->text[TEXT_PEER][0] ||
	       wished->text[TEXT_CONNECTION][0] || wished->text[TEXT_LOCAL][0] ||
	       wished->text[TEXT_TAG][0];
}

static inline struct sockaddr_storage loopback(int family, uint16_t port)
{
	struct sockaddr_storage to = {.ss_family = (sa_family_t)family};

	if (family == AF_INET) {
		((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		((struct sockaddr_in *)&to)->sin_port = htons(port);
	} else {
		((struct sockaddr_in6 *)&to)->sin6_addr = in6addr_loopback;
		((struct sockaddr_in6 *)&to)->sin6_port = htons(port);
	}
	return to;
}

static inline uint16_t port_of(int fd)
{
	struct sockaddr_storage at = {0};
	socklen_t length = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &length))
		return 0;
	/* Both families have it at the same place. */
	return ntohs(((struct sockaddr_in *)&at)->sin_port);
}

/* Closes with a reset: no TIME_WAIT fills the ports. */
static inline void own_close(struct own *own)
{
	struct linger reset = {.l_onoff = 1};

	if (own->fd < 0)
		return;
	setsockopt(own->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(own->fd);
	own->fd = -1;
}

static inline void own_open(struct own *own, struct random *random)
{
	const struct kind *kind = &kinds[draw(random, draw(random, 3) ? SERVED_LAST : KIND_COUNT)];
	int fd;

	own_close(own);
	fd = socket(kind->family, kind->type | SOCK_CLOEXEC | SOCK_NONBLOCK, kind->protocol);
	*own = (struct own){.fd = fd, .kind = kind};
	own->wished.least.size = sizeof(own->wished.least);
}

/* ---- states */

static inline int tcp_state(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? 0 : info.tcpi_state;
}

static inline void own_bind(struct own *own)
{
	struct sockaddr_storage to = loopback(own->kind->family, 0);

	if (own->kind->served && !own->bound && !own->connecting && !own->connected)
		own->bound = !bind(own->fd, (struct sockaddr *)&to, sizeof(to));
}

static inline void own_listen(struct own *own)
{
	if (own->kind->family == AF_INET || own->kind->family == AF_INET6)
		own->listens = !listen(own->fd, 8);
}

static inline void own_connect(struct own *own, uint16_t port)
{
	struct sockaddr_storage to = loopback(own->kind->family, port);
	int err;

	if (own->kind->family != AF_INET && own->kind->family != AF_INET6)
		return;
	err = connect(own->fd, (struct sockaddr *)&to, sizeof(to)) ? errno : 0;
	if (is_stream(own))
		own->connecting = own->connecting || err == EINPROGRESS;
	else
		own->connected = own->connected || !err;
}

/* A socket that listens or connects begins anew, and keeps its wishes. */
static inline void own_disconnect(struct own *own)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (!own->kind->served || connect(own->fd, &none, sizeof(none)))
		return;
	own->listens = own->connecting = own->connected = false;
	own->unsure = true;
}

/* What has come through in clear, though the socket wishes for a peer? */
static inline void check_held(const struct own *own, struct random *random)
{
	char byte;
	int fd;

	if (is_stream(own) && own->connecting) {
		if (tcp_state(own->fd) == TCP_ESTABLISHED && is_wished(&own->wished))
			fault("a connection in clear, in spite of its wish");
		count(is_wished(&own->wished) ? COUNTED_HELD : COUNTED_PASSED);
	}
	if (is_stream(own) && own->listens) {
		fd = accept4(own->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			if (is_wished(&own->wished))
				fault("a connection in clear was accepted, in spite of the wish");
			count(COUNTED_PASSED);
			close(fd);
		}
	}
	if (is_datagram(own) && recv(own->fd, &byte, 1, draw(random, 2) ? MSG_PEEK : 0) >= 0) {
		if (is_wished(&own->wished) && !own->unsure)
			fault("a datagram in clear came in, in spite of the wish");
		count(COUNTED_PASSED);
	}
}

#endif
