/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connected UDP sockets and their latches (RFC 5660 section 5.2), without ESP.
 *
 *	      test's cgroup: gate_egress, gate_ingress, socket_released,
 *	                     datagram_connect4/6, datagram_send4/6
 *	+----------------------------------------------------------+
 *	| client (connected) <---- datagrams in clear ----> server |
 *	|        +---------------> third, elsewhere (another peer) |
 *	+----------------------------------------------------------+
 *	          latches: the client's flow, put there by the test
 */
#include "gate_fixture.h"
#include "udp_loss.h"

#include <linux/udp.h>
#include <net/route.h>

#define ROUTED_PEER "192.0.2.7" /* the test adds and deletes its route */

static void set_up(void)
{
	gate_set_up();
	attach_gates();
	attach(GATES_RELEASE);
	attach(GATES_CONNECT4);
	attach(GATES_CONNECT6);
	attach(GATES_SEND4);
	attach(GATES_SEND6);
}

TestSuite(gate_udp, .init = set_up, .fini = gate_tear_down, .timeout = 60);

/* The address of the client, and that of the server. */
static const char *const udp_ways[][2] = {
	{IPV4, IPV4},
	{IPV6, IPV6},
	{MAPPED, IPV4},
	{MAPPED, MAPPED},
};
#define UDP_WAYS (sizeof(udp_ways) / sizeof(udp_ways[0]))

/* Puts the client's latch. The gate has stored the latch in the client's socket afterwards. */
static struct latch_flow latch_client(const struct pair *pair)
{
	struct latch_flow flow = udp_flow(pair->client);

	put_latch_of(&flow, pair->client);
	cr_assert(udp_is_lost(pair->client));
	return flow;
}

static void expect_released(const struct latch_flow *flow)
{
	cr_expect_not(has_latch(flow));
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, flow, NULL), 1);
}

/* ---- verdicts */

Test(gate_udp, a_connected_socket_without_a_latch_sends_and_receives_in_clear)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);

		expect_alive(pair.client, pair.server);
		expect_alive(pair.server, pair.client);
		udp_close(&pair);
	}
	cr_expect_eq(drops_in_all().egress + drops_in_all().ingress, 0);
}

Test(gate_udp, L_5_2_1_nothing_leaves_a_latched_socket_in_clear)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);
		struct latch_flow flow = udp_flow(pair.client);

		put_latch_of(&flow, pair.client);
		cr_expect(udp_is_lost(pair.client), "%zu", i);
		cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, i + 1);
		cr_expect_eq(latch_of(&flow).drops, 1);
		udp_close(&pair);
	}
}

Test(gate_udp, a_latched_socket_receives_nothing_in_clear)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);
		struct latch_flow flow = udp_flow(pair.server);

		put_latch_of(&flow, pair.server);
		cr_expect_eq(udp_send(pair.client), 0);
		wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress == i + 1);
		cr_expect_not(is_readable(pair.server));
		udp_close(&pair);
	}
}

/* The client neither sends nor receives. */
static void expect_blocked(const struct pair *pair, enum latch_drop reason)
{
	cr_expect_eq(udp_send(pair->client), -EPERM);
	cr_expect_eq(udp_send(pair->server), 0);
	wait_for(drops_for(reason).ingress == 1);
	cr_expect_eq(drops_for(reason).egress, 1);
	cr_expect_not(is_readable(pair->client));
}

Test(gate_udp, R_2_3_24_a_broken_latch_makes_send_fail_and_drops_what_arrives)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	put_latch_of(&flow, pair.client);
	cr_assert_eq(latch_break(&maps, &flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	expect_blocked(&pair, LATCH_DROP_BROKEN);
	udp_close(&pair);
}

Test(gate_udp, R_2_3_24_a_closed_latch_keeps_its_socket_blocked)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);

	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	expect_blocked(&pair, LATCH_DROP_CLOSED);
	udp_close(&pair);
}

/* ---- datagrams outside the connection */

Test(gate_udp, an_unconnected_socket_does_not_use_the_latch_of_its_former_flow)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct address here = name_of(pair.client, getsockname);
	struct address there = name_of(pair.server, getsockname);
	struct latch_flow flow = udp_flow(pair.client);
	int other;

	put_latch(&flow, LATCH_OWNER_SOCKET);
	udp_disconnect(pair.server);
	close(pair.client);
	other = udp_socket(here, false);
	cr_expect_eq(udp_send_to(other, there), 0);
	wait_for(is_readable(pair.server));
	cr_expect_eq(udp_send_to(pair.server, here), 0);
	wait_for(is_readable(other));
	close(other);
	close(pair.server);
}

Test(gate_udp, a_disconnected_socket_does_not_use_a_latch_that_another_socket_owns)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct address here = name_of(pair.client, getsockname);
	struct address there = name_of(pair.server, getsockname);
	struct latch_flow flow = udp_flow(pair.client);

	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_expect(udp_is_lost(pair.client), "while it is connected the latch counts");
	udp_disconnect(pair.client);
	udp_disconnect(pair.server);
	cr_expect(has_latch(&flow), "the latch has another owner");
	cr_expect_eq(udp_send_to(pair.client, there), 0);
	wait_for(is_readable(pair.server));
	cr_expect_eq(udp_send_to(pair.server, here), 0);
	wait_for(is_readable(pair.client));
	close(pair.client);
	close(pair.server);
}

Test(gate_udp, a_raw_socket_does_not_use_the_latch_of_a_udp_flow)
{
	static const uint8_t header[8] = {0, IPPROTO_UDP, 0, 9, 0, 8};
	struct address there = address_of(IPV4, 9);
	int fd = netns_socket(ns.fd, AF_INET, SOCK_RAW, IPPROTO_UDP);
	struct latch_flow flow = flow_between(address_of(IPV4, IPPROTO_UDP), address_of(IPV4, 9));

	cr_assert_geq(fd, 0);
	udp_connect(fd, there);
	flow.protocol = IPPROTO_UDP;
	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_expect_eq(send(fd, header, sizeof(header), 0), sizeof(header), "%s", strerror(errno));
	cr_expect_eq(drops_in_all().egress, 0);
	close(fd);
}

/*
 * Under ESP the gate cannot see the destination of such a datagram: a socket that sends to another
 * peer creates no latch.
 */
Test(gate_udp, a_datagram_of_a_latched_socket_to_another_peer_passes)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int third = udp_bound(IPV4);
	struct address there = name_of(third, getsockname);

	latch_client(&pair);
	cr_expect_eq(udp_send_to(pair.client, there), 0);
	wait_for(is_readable(third));
	cr_expect_eq(udp_send_to(pair.client, name_of(pair.server, getsockname)), 0);
	close(third);
	udp_close(&pair);
}

/* Two sockets may have the same flow; the kernel delivers to the later one. */
Test(gate_udp, closing_another_socket_of_the_same_flow_does_not_release_the_latch)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	struct address here = name_of(one, getsockname), there = name_of(peer, getsockname);
	struct latch_flow flow;

	other = udp_socket(here, true);
	udp_connect(one, there);
	udp_connect(other, there);
	flow = udp_flow(one);
	put_latch_of(&flow, one);
	cr_expect(udp_is_lost(other));
	close(other);
	cr_expect(has_latch(&flow));
	cr_expect(udp_is_lost(one));
	close(one);
	expect_released(&flow);
	close(peer);
}

/*
 * The other socket of the flow sends to another peer first: the gate has stored a verdict in it
 * before the latch exists.
 */
Test(gate_udp, the_release_of_a_latch_blocks_the_other_socket_of_its_flow)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	int elsewhere = udp_bound(IPV4);
	struct address here = name_of(one, getsockname), there = name_of(peer, getsockname);
	struct latch_flow flow;

	other = udp_socket(here, true);
	udp_connect(one, there);
	udp_connect(other, there);
	cr_expect_eq(udp_send_to(other, name_of(elsewhere, getsockname)), 0);
	flow = udp_flow(one);
	put_latch_of(&flow, one);
	cr_expect(udp_is_lost(one));
	cr_expect(udp_is_lost(other));
	close(one);
	expect_released(&flow);
	cr_expect_eq(udp_send(other), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_CLOSED).egress, 1);
	close(other);
	close(elsewhere);
	close(peer);
}

/* ---- the release of a latch */

Test(gate_udp, R_2_3_19_the_last_close_of_a_socket_releases_its_latch)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);
		struct latch_flow flow = latch_client(&pair);
		int copy = dup(pair.client);

		close(pair.client);
		cr_expect(has_latch(&flow));
		close(copy);
		expect_released(&flow);
		close(pair.server);
	}
}

Test(gate_udp, R_2_3_19_the_end_of_the_last_process_releases_the_latch_of_its_socket)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);
	pid_t pid = start_holder();

	close(pair.client);
	cr_expect(has_latch(&flow));
	kill_holder(pid);
	wait_for(!has_latch(&flow));
	expect_released(&flow);
	close(pair.server);
}

Test(gate_udp, L_5_2_2_connect_to_another_peer_releases_the_latch)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);
	int third = udp_bound(IPV4);

	udp_connect(pair.client, name_of(third, getsockname));
	cr_expect_eq(udp_send(pair.client), 0);
	expect_released(&flow);
	wait_for(is_readable(third));
	close(third);
	udp_close(&pair);
}

static void cork_one_byte(int fd)
{
	cr_assert_eq(send(fd, "x", 1, MSG_MORE), 1, "%s", strerror(errno));
}

static void uncork(int fd)
{
	int off = 0;

	cr_assert_eq(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &off, sizeof(off)), 0);
}

/* It was made before connect(), as one that waits in a queue. */
Test(gate_udp, L_5_2_2_a_datagram_of_the_former_latched_connection_does_not_leave_any_more)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);
		struct latch_flow flow = latch_client(&pair);
		int third = udp_bound(udp_ways[i][1]);

		cork_one_byte(pair.client);
		udp_connect(pair.client, name_of(third, getsockname));
		uncork(pair.client);
		cr_expect_eq(drops_for(LATCH_DROP_CLOSED).egress, i + 1);
		cr_expect_not(is_readable(pair.server) || is_readable(third));
		expect_released(&flow);
		cr_expect_eq(udp_send(pair.client), 0, "the new connection does not send");
		wait_for(is_readable(third));
		close(third);
		udp_close(&pair);
	}
}

/* To its former peer, or over IPv4 to the new one: connect() overwrites what is corked. */
Test(gate_udp, a_datagram_of_a_former_connection_without_a_latch_leaves)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);
		int third = udp_bound(udp_ways[i][1]);

		cork_one_byte(pair.client);
		udp_connect(pair.client, name_of(third, getsockname));
		uncork(pair.client);
		wait_for(is_readable(pair.server) || is_readable(third));
		close(third);
		udp_close(&pair);
	}
	cr_expect_eq(drops_in_all().egress, 0);
}

Test(gate_udp, a_datagram_from_before_connect_to_the_same_peer_has_the_same_latch)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);
	__u64 before = drops_for(LATCH_DROP_PLAINTEXT).egress;

	cork_one_byte(pair.client);
	udp_connect(pair.client, name_of(pair.server, getsockname));
	uncork(pair.client);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, before + 1);
	cr_expect(has_latch(&flow));
	udp_close(&pair);
}

Test(gate_udp, L_5_2_2_disconnect_releases_the_latch)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);

	udp_disconnect(pair.client);
	cr_expect_eq(udp_send_to(pair.client, name_of(pair.server, getsockname)), 0);
	expect_released(&flow);
	udp_close(&pair);
}

/* Without a datagram in between, only the connect hook can distinguish the two connections. */
Test(gate_udp, L_5_2_2_disconnect_and_connect_to_the_same_peer_release_the_latch)
{
	size_t i;

	for (i = 0; i < UDP_WAYS; i++) {
		struct pair pair = udp_pair(udp_ways[i][0], udp_ways[i][1]);
		struct address there = name_of(pair.client, getpeername);
		struct latch_flow flow = latch_client(&pair);

		udp_disconnect(pair.client);
		udp_connect(pair.client, there);
		expect_released(&flow);
		expect_alive(pair.client, pair.server);
		udp_close(&pair);
	}
}

/* Without a route: the socket is still connected to its first peer. */
Test(gate_udp, a_failed_connect_to_another_peer_does_not_release_the_latch)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);
	struct address nowhere = address_of("192.0.2.1", 9);

	cr_assert_neq(connect(pair.client, &nowhere.any, nowhere.length), 0);
	cr_expect(udp_is_lost(pair.client));
	cr_expect(has_latch(&flow));
	udp_close(&pair);
}

static void change_route(unsigned long request)
{
	struct address there = address_of(ROUTED_PEER, 0), mask = address_of("255.255.255.255", 0);
	struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char[]){"lo"}};
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	memcpy(&route.rt_dst, &there.any, sizeof(route.rt_dst));
	memcpy(&route.rt_genmask, &mask.any, sizeof(route.rt_genmask));
	cr_assert_eq(ioctl(fd, request, &route), 0, "%s", strerror(errno));
	close(fd);
}

/* Such a connect() makes no new connection: the socket would send in clear without its latch. */
Test(gate_udp, R_2_4_a_failed_connect_to_the_same_peer_does_not_release_the_latch)
{
	struct pair pair = {.client = udp_bound(IPV4), .server = udp_bound(IPV4)};
	struct address there = address_of(ROUTED_PEER, 9);
	struct latch_flow flow;

	change_route(SIOCADDRT);
	udp_connect(pair.client, there);
	flow = latch_client(&pair);
	change_route(SIOCDELRT);
	cr_assert_neq(connect(pair.client, &there.any, there.length), 0);
	change_route(SIOCADDRT);
	cr_expect(has_latch(&flow));
	cr_expect(udp_is_lost(pair.client));
	udp_close(&pair);
}

Test(gate_udp, connect_to_the_same_peer_while_connected_does_not_release_the_latch)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_client(&pair);

	udp_connect(pair.client, name_of(pair.client, getpeername));
	cr_expect(has_latch(&flow));
	cr_expect(udp_is_lost(pair.client));
	udp_close(&pair);
}

/* The connection to another peer in between dissolves the first, also without a datagram. */
Test(gate_udp, L_5_2_2_connect_to_another_peer_and_back_releases_the_latch)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct address there = name_of(pair.client, getpeername);
	struct latch_flow flow = latch_client(&pair);
	int third = udp_bound(IPV4);

	udp_connect(pair.client, name_of(third, getsockname));
	udp_connect(pair.client, there);
	expect_released(&flow);
	expect_alive(pair.client, pair.server);
	close(third);
	udp_close(&pair);
}
