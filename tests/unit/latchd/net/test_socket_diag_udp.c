/* SPDX-License-Identifier: BSD-2-Clause */
/* Connected UDP sockets, and TCP listeners, on the loopback of a namespace of the test. */
#include "udp.h"

#include "latchd/net/socket_diag.h"

TestSuite(socket_diag_udp, .init = tcp_set_up, .fini = tcp_tear_down, .timeout = 60);

static void check(const char *one, const char *other)
{
	struct pair pair = udp_pair(one, other);
	struct latch_flow client = udp_flow(pair.client), server = udp_flow(pair.server);
	char byte;

	cr_expect_eq(socket_diag_find(&client), 0);
	cr_expect_eq(socket_diag_search(&server, 0), 0);
	cr_expect_eq(socket_diag_destroy_owner(&client, 0), 0, "%s %s", one, other);
	cr_expect_eq(recv(pair.client, &byte, 1, MSG_DONTWAIT), -1);
	cr_expect_eq(errno, ECONNABORTED);
	cr_expect_eq(recv(pair.client, &byte, 1, MSG_DONTWAIT), -1);
	cr_expect_eq(errno, EAGAIN, "the error comes once");
	cr_expect_eq(udp_send(pair.client), -EDESTADDRREQ, "no longer connected");
	cr_expect_eq(socket_diag_find(&client), -ENOENT);
	cr_expect_eq(socket_diag_search(&client, 0), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&client, 0), -ENOENT);
	cr_expect_eq(socket_diag_find(&server), 0);
	cr_expect_eq(pending_error(pair.server), 0);
	udp_close(&pair);
	cr_expect_eq(socket_diag_find(&server), -ENOENT);
}

Test(socket_diag_udp, a_connected_ipv4_socket_is_found_and_ended)
{
	check(IPV4, IPV4);
}

Test(socket_diag_udp, a_connected_ipv6_socket_is_found_and_ended)
{
	check(IPV6, IPV6);
}

Test(socket_diag_udp, a_connected_ipv6_socket_of_an_ipv4_flow_is_found_and_ended)
{
	check(MAPPED, MAPPED);
	check(MAPPED, IPV4);
	check(IPV4, MAPPED);
}

Test(socket_diag_udp, an_unconnected_socket_is_never_found_nor_ended)
{
	int fd = udp_bound(IPV4), all = udp_bound("::");
	struct latch_flow flow = flow_between(name_of(fd, getsockname), address_of("127.0.0.9", 9));
	uint16_t port = ntohs(name_of(all, getsockname).v6.sin6_port);
	struct latch_flow of_all = flow_between(address_of(IPV6, port), address_of(IPV6, 9));

	flow.protocol = of_all.protocol = IPPROTO_UDP;
	cr_expect_eq(socket_diag_search(&flow, 0), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -ENOENT);
	cr_expect_eq(socket_diag_search(&of_all, 0), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&of_all, 0), -ENOENT);
	cr_expect_eq(pending_error(fd), 0);
	close(fd);
	close(all);
}

Test(socket_diag_udp, a_tcp_socket_with_the_same_addresses_and_ports_is_not_found)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	flow.protocol = IPPROTO_UDP;
	cr_expect_eq(socket_diag_search(&flow, 0), -ENOENT);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), -ENOENT);
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(socket_diag_udp, a_socket_bound_to_a_device_is_found_and_ended)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	cr_assert_eq(setsockopt(pair.client, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	cr_expect_eq(socket_diag_search(&flow, 0), 0);
	cr_expect_eq(socket_diag_destroy_owner(&flow, 0), 0);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	udp_close(&pair);
}

/* ---- listeners */

#define SEEN_MAX 64

static struct latch_flow seen[SEEN_MAX];
static size_t seen_count;

static int note_listener(void *context, const struct latch_flow *flow)
{
	cr_expect_eq(context, &seen_count);
	cr_assert_lt(seen_count, SEEN_MAX);
	seen[seen_count++] = *flow;
	return 0;
}

static size_t times_seen(const char *text, int fd)
{
	struct address at = address_of(text, ntohs(name_of(fd, getsockname).v4.sin_port));
	struct latch_flow flow = {.netns = ns.cookie, .protocol = IPPROTO_TCP};
	size_t i, times = 0;

	flow.family = put_address(flow.local_addr, &flow.local_port, &at);
	for (i = 0; i < seen_count; i++)
		times += !memcmp(&seen[i], &flow, sizeof(flow));
	return times;
}

Test(socket_diag_udp, the_dump_has_each_listener_of_a_namespace_once)
{
	static const char *const places[] = {IPV4, "0.0.0.0", IPV6, "::", MAPPED};
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	int listeners[5], device = start_listener(IPV4, "lo");
	struct namespace other;
	size_t i;

	for (i = 0; i < 5; i++)
		listeners[i] = start_listener(places[i], NULL);
	cr_assert_eq(socket_diag_listeners(ns.cookie, note_listener, &seen_count), 0);
	cr_expect_eq(seen_count, 7);
	for (i = 0; i < 5; i++)
		cr_expect_eq(times_seen(places[i], listeners[i]), 1, "%s", places[i]);
	cr_expect_eq(times_seen(IPV4, pair.listener), 1);
	cr_expect_eq(times_seen(IPV4, device), 1);
	namespace_start(&other);
	seen_count = 0;
	cr_expect_eq(socket_diag_listeners(other.cookie, note_listener, &seen_count), 0);
	cr_expect_eq(seen_count, 0);
	namespace_end(&other);
	for (i = 0; i < 5; i++)
		close(listeners[i]);
	close(device);
	close_pair(&pair);
}
