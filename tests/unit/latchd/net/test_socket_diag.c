/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP connections over the loopback of a network namespace of the test. */
#include "tcp.h"

#include "latchd/net/socket_diag.h"

static void wait_until_gone(const struct latch_flow *flow)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	while (!socket_diag_find(flow) && loop_now_ms() < limit)
		sched_yield();
	cr_expect_eq(socket_diag_find(flow), -ENOENT);
}

/* Ends the client's socket of one connection, then the server's socket of another connection. */
static void check_both_ends(const char *listen_on, const char *connect_from)
{
	struct pair pair = connect_pair(listen_on, connect_from, NULL);
	struct pair other = connect_pair(listen_on, connect_from, NULL);
	struct latch_flow client = flow_of(pair.client), server = flow_of(other.server);

	cr_expect_eq(socket_diag_find(&client), 0);
	cr_expect_eq(socket_diag_find(&server), 0);
	cr_expect_eq(socket_diag_destroy_owner(&client, 0), 0);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	cr_expect_eq(socket_diag_find(&client), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&client, 0), -ENOENT);
	expect_alive(other.client, other.server);
	expect_alive(other.server, other.client);
	cr_expect_eq(socket_diag_destroy_owner(&server, 0), 0);
	cr_expect_eq(pending_error(other.server), ECONNABORTED);
	cr_expect_eq(socket_diag_find(&server), -ENOENT);
	close_pair(&pair);
	close_pair(&other);
}

Test(socket_diag, each_end_of_an_ipv4_connection_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_both_ends(IPV4, IPV4);
}

Test(socket_diag, each_end_of_an_ipv6_connection_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_both_ends(IPV6, IPV6);
}

Test(socket_diag, an_ipv4_connection_of_a_dual_stack_server_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_both_ends("::", IPV4);
}

Test(socket_diag, an_ipv4_connection_of_ipv6_sockets_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_both_ends("::", MAPPED);
}

Test(socket_diag, a_waiting_reader_gets_econnaborted, .init = tcp_set_up, .fini = tcp_tear_down)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct pollfd ended = {.fd = pair.server, .events = POLLIN};
	struct latch_flow flow = flow_of(pair.server);
	char byte;

	cr_assert_eq(poll(&ended, 1, 0), 0);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), 0);
	cr_expect_eq(poll(&ended, 1, LIMIT_MS), 1);
	cr_expect_eq(recv(pair.server, &byte, 1, 0), -1);
	cr_expect_eq(errno, ECONNABORTED);
	close_pair(&pair);
}

/* ---- other sockets ---- */

Test(socket_diag, a_listener_is_never_found_nor_ended, .init = tcp_set_up, .fini = tcp_tear_down)
{
	int listener = start_listener(IPV4, NULL);
	struct latch_flow unknown =
		flow_between(name_of(listener, getsockname), address_of("127.0.0.9", 4711));
	struct latch_flow itself =
		flow_between(name_of(listener, getsockname), address_of("0.0.0.0", 0));
	int client;

	cr_expect_eq(socket_diag_find(&unknown), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&unknown, 0), -ENOENT);
	cr_expect_eq(socket_diag_find(&itself), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&itself, 0), -ENOENT);
	client = connect_to(IPV4, listener, NULL);
	close(client);
	close(listener);
}

Test(socket_diag, a_listener_on_all_addresses_is_never_found_nor_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	int listener = start_listener("::", NULL), client;
	uint16_t port = ntohs(name_of(listener, getsockname).v6.sin6_port);
	struct latch_flow v4 = flow_between(address_of(IPV4, port), address_of("127.0.0.9", 4711));
	struct latch_flow v6 = flow_between(address_of(IPV6, port), address_of("2001:db8::9", 1));

	cr_expect_eq(socket_diag_find(&v4), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&v4, 0), -ENOENT);
	cr_expect_eq(socket_diag_find(&v6), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&v6, 0), -ENOENT);
	client = connect_to(IPV6, listener, NULL);
	close(client);
	close(listener);
}

Test(socket_diag, a_socket_of_a_similar_flow_is_not_found, .init = tcp_set_up,
     .fini = tcp_tear_down)
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
		cr_expect_eq(socket_diag_destroy_owner(&near[i], 0), -ENOENT, "%zu", i);
	}
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(socket_diag, a_socket_of_another_namespace_is_not_found, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct namespace other;
	uint64_t own;

	namespace_start(&other);
	flow.netns = other.cookie;
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -ENOENT);
	cr_assert_eq(netns_own(&own), 0);
	flow.netns = own;
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -ENOENT);
	flow.netns = UINT64_MAX;
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), namespace_gone_error());
	cr_expect_eq(socket_diag_find(&flow), namespace_gone_error());
	expect_alive(pair.client, pair.server);
	namespace_end(&other);
	close_pair(&pair);
}

Test(socket_diag, other_protocols_are_refused, .init = tcp_set_up, .fini = tcp_tear_down)
{
	struct latch_flow flow = flow_between(address_of(IPV4, 1), address_of(IPV4, 2));

	flow.protocol = IPPROTO_SCTP;
	cr_expect_eq(socket_diag_find(&flow), -EPROTONOSUPPORT);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -EPROTONOSUPPORT);
	flow.protocol = IPPROTO_TCP;
	flow.family = AF_UNIX;
	cr_expect_eq(socket_diag_find(&flow), -EAFNOSUPPORT);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -EAFNOSUPPORT);
}

/* ---- TIME_WAIT and request sockets, sockets bound to a device ---- */

Test(socket_diag, a_time_wait_socket_is_found, .init = tcp_set_up, .fini = tcp_tear_down)
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
	/* The listener has the server's port all the time. */
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
	cr_expect_eq(socket_diag_destroy_owner(&request, 0), 0);
	cr_expect_eq(socket_diag_find(&request), -ENOENT);
	cr_expect_eq(socket_diag_find(&client_flow), 0);
	close(client);
	close(listener);
}

Test(socket_diag, an_ipv4_request_socket_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_request_socket(IPV4, IPV4);
}

Test(socket_diag, an_ipv6_request_socket_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_request_socket(IPV6, IPV6);
}

Test(socket_diag, a_dual_stack_request_socket_is_found_and_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_request_socket("::", IPV4);
}

static void check_bound_to_device(const char *listen_on, const char *connect_from)
{
	struct pair pair = connect_pair(listen_on, connect_from, "lo");
	struct pair other = connect_pair(listen_on, connect_from, "lo");
	struct latch_flow flow = flow_of(pair.server);

	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), 0);
	cr_expect_eq(pending_error(pair.server), ECONNABORTED);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -ENOENT);
	expect_alive(other.client, other.server);
	close_pair(&pair);
	close_pair(&other);
}

Test(socket_diag, an_ipv4_socket_bound_to_a_device_is_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_bound_to_device(IPV4, IPV4);
}

Test(socket_diag, an_ipv6_socket_bound_to_a_device_is_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_bound_to_device(IPV6, IPV6);
}

Test(socket_diag, a_dual_stack_socket_bound_to_a_device_is_ended, .init = tcp_set_up,
     .fini = tcp_tear_down)
{
	check_bound_to_device("::", IPV4);
}
