/* SPDX-License-Identifier: BSD-2-Clause */
/* Real TCP sockets on the loopback of another network namespace. */
#include "namespace.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>

#include "latchd/kernel/socket_diag.h"
#include "latchd/loop.h"

#define LIMIT_MS 20000
#define IPV4	 "127.0.0.1"
#define IPV6	 "::1"
#define MAPPED	 "::ffff:127.0.0.1"

static struct namespace ns;

static void set_up(void)
{
	namespace_need_root();
	namespace_start(&ns);
	namespace_loopback_up(&ns);
}

static void tear_down(void)
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

static struct address address_of(const char *text, uint16_t port)
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

static struct address name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct address address = {.length = sizeof(struct sockaddr_in6)};

	cr_assert_eq(ask(fd, &address.any, &address.length), 0, "%s", strerror(errno));
	return address;
}

/* As the gate sees it on the wire: mapped addresses are IPv4. */
static uint8_t put_address(__u8 out[16], __u16 *port, const struct address *address)
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

static struct latch_flow flow_between(struct address local, struct address remote)
{
	struct latch_flow flow = {.netns = ns.cookie, .protocol = IPPROTO_TCP};

	flow.family = put_address(flow.local_addr, &flow.local_port, &local);
	put_address(flow.remote_addr, &flow.remote_port, &remote);
	return flow;
}

static struct latch_flow flow_of(int fd)
{
	return flow_between(name_of(fd, getsockname), name_of(fd, getpeername));
}

static struct latch_flow other_end(struct latch_flow flow)
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

static int new_socket(const struct address *address, const char *device)
{
	int fd = namespace_socket(&ns, address->any.sa_family, SOCK_STREAM);

	if (device)
		cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
					(socklen_t)strlen(device)),
			     0, "bind to %s: %s", device, strerror(errno));
	return fd;
}

static int start_listener(const char *text, const char *device)
{
	struct address address = address_of(text, 0);
	int fd = new_socket(&address, device);

	cr_assert_eq(bind(fd, &address.any, address.length), 0, "%s: %s", text, strerror(errno));
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static int connect_to(const char *text, int listener, const char *device)
{
	struct address there = name_of(listener, getsockname);
	struct address address = address_of(text, ntohs(there.v4.sin_port));
	int fd = new_socket(&address, device);

	cr_assert_eq(connect(fd, &address.any, address.length), 0, "%s: %s", text, strerror(errno));
	return fd;
}

static struct pair connect_pair(const char *listen_on, const char *connect_from, const char *device)
{
	struct pair pair;

	pair.listener = start_listener(listen_on, device);
	pair.client = connect_to(connect_from, pair.listener, device);
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	return pair;
}

static void close_pair(struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	close(pair->listener);
}

static int pending_error(int fd)
{
	socklen_t length = sizeof(int);
	int error = -1;

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

static void expect_alive(int from, int to)
{
	struct pollfd readable = {.fd = to, .events = POLLIN};
	char byte = 'x';

	cr_expect_eq(send(from, &byte, 1, MSG_NOSIGNAL), 1, "%s", strerror(errno));
	cr_expect_eq(poll(&readable, 1, LIMIT_MS), 1);
	byte = 0;
	cr_expect_eq(recv(to, &byte, 1, MSG_DONTWAIT), 1, "%s", strerror(errno));
	cr_expect_eq(byte, 'x');
}

static void wait_until_gone(const struct latch_flow *flow)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	while (!socket_diag_find(flow) && loop_now_ms() < limit)
		sched_yield();
	cr_expect_eq(socket_diag_find(flow), -ENOENT);
}

/* The client's end, then the server's, of two connections: each alone is found and ended. */
static void check_both_ends(const char *listen_on, const char *connect_from)
{
	struct pair pair = connect_pair(listen_on, connect_from, NULL);
	struct pair other = connect_pair(listen_on, connect_from, NULL);
	struct latch_flow client = flow_of(pair.client), server = flow_of(other.server);

	cr_expect_eq(socket_diag_find(&client), 0);
	cr_expect_eq(socket_diag_find(&server), 0);
	cr_expect_eq(socket_diag_destroy(&client), 0);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	cr_expect_eq(socket_diag_find(&client), -ENOENT);
	cr_expect_eq(socket_diag_destroy(&client), -ENOENT);
	expect_alive(other.client, other.server);
	expect_alive(other.server, other.client);
	cr_expect_eq(socket_diag_destroy(&server), 0);
	cr_expect_eq(pending_error(other.server), ECONNABORTED);
	cr_expect_eq(socket_diag_find(&server), -ENOENT);
	close_pair(&pair);
	close_pair(&other);
}

Test(socket_diag, ends_an_ipv4_connection, .init = set_up, .fini = tear_down)
{
	check_both_ends(IPV4, IPV4);
}

Test(socket_diag, ends_an_ipv6_connection, .init = set_up, .fini = tear_down)
{
	check_both_ends(IPV6, IPV6);
}

Test(socket_diag, ends_an_ipv4_connection_of_a_dual_stack_server, .init = set_up, .fini = tear_down)
{
	check_both_ends("::", IPV4);
}

Test(socket_diag, ends_an_ipv4_connection_of_ipv6_sockets, .init = set_up, .fini = tear_down)
{
	check_both_ends("::", MAPPED);
}

Test(socket_diag, the_owner_sees_it_in_a_blocked_read, .init = set_up, .fini = tear_down)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct pollfd ended = {.fd = pair.server, .events = POLLIN};
	struct latch_flow flow = flow_of(pair.server);
	char byte;

	cr_assert_eq(poll(&ended, 1, 0), 0);
	cr_expect_eq(socket_diag_destroy(&flow), 0);
	cr_expect_eq(poll(&ended, 1, LIMIT_MS), 1);
	cr_expect_eq(recv(pair.server, &byte, 1, 0), -1);
	cr_expect_eq(errno, ECONNABORTED);
	close_pair(&pair);
}

/* ---- what must not be taken for the flow's socket ---- */

Test(socket_diag, a_listener_is_never_found_nor_ended, .init = set_up, .fini = tear_down)
{
	int listener = start_listener(IPV4, NULL);
	struct latch_flow unknown =
		flow_between(name_of(listener, getsockname), address_of("127.0.0.9", 4711));
	struct latch_flow itself =
		flow_between(name_of(listener, getsockname), address_of("0.0.0.0", 0));
	int client;

	cr_expect_eq(socket_diag_find(&unknown), -ENOENT);
	cr_expect_eq(socket_diag_destroy(&unknown), -ENOENT);
	cr_expect_eq(socket_diag_find(&itself), -ENOENT);
	cr_expect_eq(socket_diag_destroy(&itself), -ENOENT);
	client = connect_to(IPV4, listener, NULL);
	close(client);
	close(listener);
}

Test(socket_diag, a_listener_on_all_addresses_neither, .init = set_up, .fini = tear_down)
{
	int listener = start_listener("::", NULL), client;
	uint16_t port = ntohs(name_of(listener, getsockname).v6.sin6_port);
	struct latch_flow v4 = flow_between(address_of(IPV4, port), address_of("127.0.0.9", 4711));
	struct latch_flow v6 = flow_between(address_of(IPV6, port), address_of("2001:db8::9", 1));

	cr_expect_eq(socket_diag_find(&v4), -ENOENT);
	cr_expect_eq(socket_diag_destroy(&v4), -ENOENT);
	cr_expect_eq(socket_diag_find(&v6), -ENOENT);
	cr_expect_eq(socket_diag_destroy(&v6), -ENOENT);
	client = connect_to(IPV6, listener, NULL);
	close(client);
	close(listener);
}

Test(socket_diag, nothing_but_the_very_flow, .init = set_up, .fini = tear_down)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	const struct latch_flow flow = flow_of(pair.client);
	struct latch_flow near[5];
	size_t i;

	for (i = 0; i < 5; i++)
		near[i] = flow;
	near[0].remote_port++;
	near[1].local_port++;
	near[2].remote_addr[3]++;
	near[3].local_addr[3]++;
	near[4].family = AF_INET6;
	for (i = 0; i < 5; i++) {
		cr_expect_eq(socket_diag_find(&near[i]), -ENOENT, "%zu", i);
		cr_expect_eq(socket_diag_destroy(&near[i]), -ENOENT, "%zu", i);
	}
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(socket_diag, only_in_the_flows_own_namespace, .init = set_up, .fini = tear_down)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct namespace other;
	uint64_t own;

	namespace_start(&other);
	flow.netns = other.cookie;
	cr_expect_eq(socket_diag_destroy(&flow), -ENOENT);
	cr_assert_eq(netns_own(&own), 0);
	flow.netns = own;
	cr_expect_eq(socket_diag_destroy(&flow), -ENOENT);
	flow.netns = UINT64_MAX;
	cr_expect_eq(socket_diag_destroy(&flow), namespace_gone_error());
	cr_expect_eq(socket_diag_find(&flow), namespace_gone_error());
	expect_alive(pair.client, pair.server);
	namespace_end(&other);
	close_pair(&pair);
}

Test(socket_diag, other_protocols_are_refused, .init = set_up, .fini = tear_down)
{
	struct latch_flow flow = flow_between(address_of(IPV4, 1), address_of(IPV4, 2));

	flow.protocol = IPPROTO_SCTP;
	cr_expect_eq(socket_diag_find(&flow), -EPROTONOSUPPORT);
	cr_expect_eq(socket_diag_destroy(&flow), -EPROTONOSUPPORT);
	flow.protocol = IPPROTO_TCP;
	flow.family = AF_UNIX;
	cr_expect_eq(socket_diag_find(&flow), -EAFNOSUPPORT);
	cr_expect_eq(socket_diag_destroy(&flow), -EAFNOSUPPORT);
}

/* ---- sockets that are no full sockets, or hard to find ---- */

Test(socket_diag, finds_time_wait, .init = set_up, .fini = tear_down)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow client = flow_of(pair.client), server = flow_of(pair.server);
	char byte;

	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	cr_assert_eq(recv(pair.server, &byte, 1, 0), 0);
	close(pair.server);
	cr_assert_eq(recv(pair.client, &byte, 1, 0), 0);
	close(pair.client);
	cr_expect_eq(socket_diag_find(&client), 0);
	/* The listener stands on the server's port all the time. */
	wait_until_gone(&server);
	cr_expect_eq(socket_diag_find(&client), 0);
	close(pair.listener);
}

/* With deferred accept a connection without data stays a request socket. */
static void check_request_socket(const char *listen_on, const char *connect_from)
{
	int listener = start_listener(listen_on, NULL), seconds = 60, client;
	struct latch_flow client_flow, request;

	cr_assert_eq(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)),
		     0);
	client = connect_to(connect_from, listener, NULL);
	client_flow = flow_of(client);
	request = other_end(client_flow);
	cr_expect_eq(socket_diag_find(&request), 0);
	cr_expect_eq(socket_diag_destroy(&request), 0);
	cr_expect_eq(socket_diag_find(&request), -ENOENT);
	cr_expect_eq(socket_diag_find(&client_flow), 0);
	close(client);
	close(listener);
}

Test(socket_diag, finds_and_ends_a_request_socket, .init = set_up, .fini = tear_down)
{
	check_request_socket(IPV4, IPV4);
}

Test(socket_diag, finds_and_ends_an_ipv6_request_socket, .init = set_up, .fini = tear_down)
{
	check_request_socket(IPV6, IPV6);
}

Test(socket_diag, finds_and_ends_a_dual_stack_request_socket, .init = set_up, .fini = tear_down)
{
	check_request_socket("::", IPV4);
}

static void check_bound_to_device(const char *listen_on, const char *connect_from)
{
	struct pair pair = connect_pair(listen_on, connect_from, "lo");
	struct pair other = connect_pair(listen_on, connect_from, "lo");
	struct latch_flow flow = flow_of(pair.server);

	cr_expect_eq(socket_diag_destroy(&flow), 0);
	cr_expect_eq(pending_error(pair.server), ECONNABORTED);
	cr_expect_eq(socket_diag_destroy(&flow), -ENOENT);
	expect_alive(other.client, other.server);
	close_pair(&pair);
	close_pair(&other);
}

Test(socket_diag, ends_ipv4_bound_to_a_device, .init = set_up, .fini = tear_down)
{
	check_bound_to_device(IPV4, IPV4);
}

Test(socket_diag, ends_ipv6_bound_to_a_device, .init = set_up, .fini = tear_down)
{
	check_bound_to_device(IPV6, IPV6);
}

Test(socket_diag, ends_dual_stack_bound_to_a_device, .init = set_up, .fini = tear_down)
{
	check_bound_to_device("::", IPV4);
}
