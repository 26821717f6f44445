/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP connections on the loopback of a network namespace of the test's own. */
#ifndef LATCHD_TESTS_TCP_H
#define LATCHD_TESTS_TCP_H

#include "namespace.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>

#include "latch_abi.h"
#include "common/loop.h"

#ifndef LIMIT_MS
#define LIMIT_MS 20000
#endif
#define IPV4   "127.0.0.1"
#define IPV6   "::1"
#define MAPPED "::ffff:127.0.0.1"

static struct namespace ns;

static inline void tcp_set_up(void)
{
	namespace_need_root();
	namespace_start(&ns);
	namespace_loopback_up(&ns);
}

static inline void tcp_tear_down(void)
{
	namespace_end(&ns);
}

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t length;
};

static inline struct address address_of(const char *text, uint16_t port)
{
	struct address address = {0};

	if (strchr(text, ':')) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		address.length = sizeof(address.v6);
		cr_assert_eq(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
	} else {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		address.length = sizeof(address.v4);
		cr_assert_eq(inet_pton(AF_INET, text, &address.v4.sin_addr), 1);
	}
	return address;
}

static inline struct address name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct address address = {.length = sizeof(struct sockaddr_in6)};

	cr_assert_eq(ask(fd, &address.any, &address.length), 0, "%s", strerror(errno));
	return address;
}

/* As a packet carries it: an IPv4-mapped address is IPv4. Returns the family. */
static inline uint8_t put_address(__u8 out[16], __u16 *port, const struct address *address)
{
	const struct in6_addr *v6 = &address->v6.sin6_addr;

	*port = ntohs(address->v4.sin_port);
	if (address->any.sa_family == AF_INET)
		memcpy(out, &address->v4.sin_addr, 4);
	else if (IN6_IS_ADDR_V4MAPPED(v6))
		memcpy(out, &v6->s6_addr[12], 4);
	else
		memcpy(out, v6, 16);
	return address->any.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(v6) ? AF_INET : AF_INET6;
}

static inline struct latch_flow flow_between(struct address local, struct address remote)
{
	struct latch_flow flow = {.netns = ns.cookie, .protocol = IPPROTO_TCP};

	flow.family = put_address(flow.local_addr, &flow.local_port, &local);
	put_address(flow.remote_addr, &flow.remote_port, &remote);
	return flow;
}

static inline struct latch_flow flow_of(int fd)
{
	return flow_between(name_of(fd, getsockname), name_of(fd, getpeername));
}

static inline struct latch_flow other_end(struct latch_flow flow)
{
	struct latch_flow other = flow;

	memcpy(other.local_addr, flow.remote_addr, sizeof(other.local_addr));
	memcpy(other.remote_addr, flow.local_addr, sizeof(other.remote_addr));
	other.local_port = flow.remote_port;
	other.remote_port = flow.local_port;
	return other;
}

/* ---- connections ---- */

struct pair {
	int listener, client, server;
};

static inline int new_socket(const struct address *address, const char *device)
{
	int fd = namespace_socket(&ns, address->any.sa_family, SOCK_STREAM);

	if (device)
		cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
					(socklen_t)strlen(device)),
			     0, "bind to %s: %s", device, strerror(errno));
	return fd;
}

/* The kernel chooses the port. */
static inline int bound_socket(const char *text, const char *device)
{
	struct address address = address_of(text, 0);
	int fd = new_socket(&address, device);

	cr_assert_eq(bind(fd, &address.any, address.length), 0, "%s: %s", text, strerror(errno));
	return fd;
}

/* In host byte order. */
static inline uint16_t port_of(int fd)
{
	return ntohs(name_of(fd, getsockname).v4.sin_port);
}

static inline int start_listener(const char *text, const char *device)
{
	int fd = bound_socket(text, device);

	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

/* Does not wait for the handshake: pending_error() has its result. */
static inline void begin_connect(int fd, const struct address *there)
{
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_neq(connect(fd, &there->any, there->length), 0);
}

static inline int connect_to(const char *text, int listener, const char *device)
{
	struct address address = address_of(text, port_of(listener));
	int fd = new_socket(&address, device);

	cr_assert_eq(connect(fd, &address.any, address.length), 0, "%s: %s", text, strerror(errno));
	return fd;
}

static inline struct pair connect_pair(const char *listen_on, const char *connect_from,
				       const char *device)
{
	struct pair pair;

	pair.listener = start_listener(listen_on, device);
	pair.client = connect_to(connect_from, pair.listener, device);
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	return pair;
}

static inline void close_pair(struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	close(pair->listener);
}

/* The end FIRST is in TIME_WAIT afterwards. */
static inline void close_in_order(int first, int second)
{
	char byte;

	cr_assert_eq(shutdown(first, SHUT_WR), 0);
	cr_assert_eq(recv(second, &byte, 1, 0), 0);
	close(second);
	cr_assert_eq(recv(first, &byte, 1, 0), 0);
	close(first);
}

/* The client's end is in TIME_WAIT afterwards. */
static inline void end_pair(const struct pair *pair)
{
	close_in_order(pair->client, pair->server);
	close(pair->listener);
}

static inline int pending_error(int fd)
{
	socklen_t length = sizeof(int);
	int error = -1;

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

static inline void expect_alive(int from, int to)
{
	struct pollfd readable = {.fd = to, .events = POLLIN};
	char byte = 'x';

	cr_expect_eq(send(from, &byte, 1, MSG_NOSIGNAL), 1, "%s", strerror(errno));
	cr_expect_eq(poll(&readable, 1, LIMIT_MS), 1);
	byte = 0;
	cr_expect_eq(recv(to, &byte, 1, MSG_DONTWAIT), 1, "%s", strerror(errno));
	cr_expect_eq(byte, 'x');
}

#endif
