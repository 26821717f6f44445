/* SPDX-License-Identifier: BSD-2-Clause */
/* Connected UDP sockets and their latches: RFC 5660 section 5.2, without ESP. */
#include "gate_fixture.h"
#include "udp.h"

#include <net/route.h>
#include <signal.h>
#include <sys/wait.h>

#define THERE "192.0.2.7" /* where there is a route only now and then */

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

TestSuite(gate_datagram, .init = set_up, .fini = gate_tear_down, .timeout = 60);

static const char *const ways[][2] = {
	{IPV4, IPV4},
	{IPV6, IPV6},
	{MAPPED, IPV4},
	{MAPPED, MAPPED},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* The client's latch, which its socket has met by now. */
static struct latch_flow latched(const struct pair *pair)
{
	struct latch_flow flow = udp_flow(pair->client);

	put_latch_of(&flow, pair->client);
	cr_assert_eq(udp_send(pair->client), -EPERM);
	return flow;
}

static void expect_released(const struct latch_flow *flow)
{
	cr_expect_not(has_latch(flow));
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, flow, NULL), 1);
}

/* ---- what is judged */

Test(gate_datagram, what_is_not_latched_goes_as_ever)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		struct pair pair = udp_pair(ways[i][0], ways[i][1]);

		expect_alive(pair.client, pair.server);
		expect_alive(pair.server, pair.client);
		udp_close(&pair);
	}
	cr_expect_eq(drops_in_all().egress + drops_in_all().ingress, 0);
}

Test(gate_datagram, L_5_2_1_nothing_leaves_a_latched_socket_in_clear)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		struct pair pair = udp_pair(ways[i][0], ways[i][1]);
		struct latch_flow flow = udp_flow(pair.client);

		put_latch_of(&flow, pair.client);
		cr_expect_eq(udp_send(pair.client), -EPERM, "%zu", i);
		cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, i + 1);
		cr_expect_eq(latch_of(&flow).drops, 1);
		udp_close(&pair);
	}
}

Test(gate_datagram, nor_does_anything_come_in)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		struct pair pair = udp_pair(ways[i][0], ways[i][1]);
		struct latch_flow flow = udp_flow(pair.server);

		put_latch_of(&flow, pair.server);
		cr_expect_eq(udp_send(pair.client), 0);
		wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress == i + 1);
		cr_expect_not(is_readable(pair.server));
		udp_close(&pair);
	}
}

/* Its client neither sends nor receives. */
static void expect_cut_off(const struct pair *pair, enum latch_drop why)
{
	cr_expect_eq(udp_send(pair->client), -EPERM);
	cr_expect_eq(udp_send(pair->server), 0);
	wait_for(drops_for(why).ingress == 1);
	cr_expect_eq(drops_for(why).egress, 1);
	cr_expect_not(is_readable(pair->client));
}

Test(gate_datagram, R_2_3_24_while_broken_send_fails_and_nothing_is_received)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	put_latch_of(&flow, pair.client);
	cr_assert_eq(latch_break(&maps, &flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	expect_cut_off(&pair, LATCH_DROP_BROKEN);
	udp_close(&pair);
}

Test(gate_datagram, R_2_3_24_a_latch_that_is_closed_leaves_no_way_out)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latched(&pair);

	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	expect_cut_off(&pair, LATCH_DROP_CLOSED);
	udp_close(&pair);
}

/* ---- what is not of the connection */

Test(gate_datagram, a_socket_that_is_not_connected_has_no_latch)
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

Test(gate_datagram, nor_has_a_raw_one)
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

/* Under ESP that cannot be told: such a socket gives birth to no latch. */
Test(gate_datagram, what_a_connected_socket_sends_elsewhere_passes)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int third = udp_bound(IPV4);
	struct address there = name_of(third, getsockname);

	latched(&pair);
	cr_expect_eq(udp_send_to(pair.client, there), 0);
	wait_for(is_readable(third));
	cr_expect_eq(udp_send_to(pair.client, name_of(pair.server, getsockname)), -EPERM);
	close(third);
	udp_close(&pair);
}

/* Two sockets may have the same two ends; the kernel prefers the later one. */
Test(gate_datagram, another_socket_with_the_same_ends_does_not_take_the_latch_along)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	struct address here = name_of(one, getsockname), there = name_of(peer, getsockname);
	struct latch_flow flow;

	other = udp_socket(here, true);
	udp_connect(one, there);
	udp_connect(other, there);
	flow = udp_flow(one);
	put_latch_of(&flow, one);
	cr_expect_eq(udp_send(other), -EPERM);
	close(other);
	cr_expect(has_latch(&flow));
	cr_expect_eq(udp_send(one), -EPERM);
	close(one);
	expect_released(&flow);
	close(peer);
}

/* One that sends elsewhere has a verdict before it meets the latch, and keeps that one's flow, too.
 */
Test(gate_datagram, nor_does_it_go_on_without_the_latch)
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
	cr_expect_eq(udp_send(one), -EPERM);
	cr_expect_eq(udp_send(other), -EPERM);
	close(one);
	expect_released(&flow);
	cr_expect_eq(udp_send(other), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_CLOSED).egress, 1);
	close(other);
	close(elsewhere);
	close(peer);
}

/* ---- its end */

Test(gate_datagram, R_2_3_19_closing_releases_it)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		struct pair pair = udp_pair(ways[i][0], ways[i][1]);
		struct latch_flow flow = latched(&pair);
		int copy = dup(pair.client);

		close(pair.client);
		cr_expect(has_latch(&flow));
		close(copy);
		expect_released(&flow);
		close(pair.server);
	}
}

Test(gate_datagram, R_2_3_19_so_does_the_death_of_its_process)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latched(&pair);
	pid_t pid = fork();

	if (!pid)
		while (true)
			pause();
	cr_assert_gt(pid, 0);
	close(pair.client);
	cr_expect(has_latch(&flow));
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	wait_for(!has_latch(&flow));
	expect_released(&flow);
	close(pair.server);
}

Test(gate_datagram, L_5_2_2_connecting_to_another_peer_releases_it)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latched(&pair);
	int third = udp_bound(IPV4);

	udp_connect(pair.client, name_of(third, getsockname));
	cr_expect_eq(udp_send(pair.client), 0);
	expect_released(&flow);
	wait_for(is_readable(third));
	close(third);
	udp_close(&pair);
}

Test(gate_datagram, L_5_2_2_disconnecting_releases_it)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latched(&pair);

	udp_disconnect(pair.client);
	cr_expect_eq(udp_send_to(pair.client, name_of(pair.server, getsockname)), 0);
	expect_released(&flow);
	udp_close(&pair);
}

/* Without a datagram in between nobody could tell this connection from the first. */
Test(gate_datagram, L_5_2_2_connecting_to_the_same_peer_begins_anew)
{
	size_t i;

	for (i = 0; i < WAYS; i++) {
		struct pair pair = udp_pair(ways[i][0], ways[i][1]);
		struct address there = name_of(pair.client, getpeername);
		struct latch_flow flow = latched(&pair);

		udp_disconnect(pair.client);
		udp_connect(pair.client, there);
		expect_released(&flow);
		expect_alive(pair.client, pair.server);
		udp_close(&pair);
	}
}

/* No route: the socket is still connected with its first peer, and its latch holds. */
Test(gate_datagram, a_connect_that_fails_releases_nothing)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latched(&pair);
	struct address nowhere = address_of("192.0.2.1", 9);

	cr_assert_neq(connect(pair.client, &nowhere.any, nowhere.length), 0);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect(has_latch(&flow));
	udp_close(&pair);
}

static void route_there(unsigned long what)
{
	struct address there = address_of(THERE, 0), mask = address_of("255.255.255.255", 0);
	struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char[]){"lo"}};
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	memcpy(&route.rt_dst, &there.any, sizeof(route.rt_dst));
	memcpy(&route.rt_genmask, &mask.any, sizeof(route.rt_genmask));
	cr_assert_eq(ioctl(fd, what, &route), 0, "%s", strerror(errno));
	close(fd);
}

/* Not yet another connection: the socket would go on without its latch. */
Test(gate_datagram, R_2_4_nor_does_one_to_the_same_peer_that_fails)
{
	struct pair pair = {.client = udp_bound(IPV4), .server = udp_bound(IPV4)};
	struct address there = address_of(THERE, 9);
	struct latch_flow flow;

	route_there(SIOCADDRT);
	udp_connect(pair.client, there);
	flow = latched(&pair);
	route_there(SIOCDELRT);
	cr_assert_neq(connect(pair.client, &there.any, there.length), 0);
	route_there(SIOCADDRT);
	cr_expect(has_latch(&flow));
	cr_expect_eq(udp_send(pair.client), -EPERM);
	udp_close(&pair);
}

Test(gate_datagram, nor_does_one_to_the_same_peer_while_it_is_connected)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latched(&pair);

	udp_connect(pair.client, name_of(pair.client, getpeername));
	cr_expect(has_latch(&flow));
	cr_expect_eq(udp_send(pair.client), -EPERM);
	udp_close(&pair);
}

/* Another in between dissolves the first, though no datagram told of it. */
Test(gate_datagram, L_5_2_2_connecting_there_and_back_begins_anew)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct address there = name_of(pair.client, getpeername);
	struct latch_flow flow = latched(&pair);
	int third = udp_bound(IPV4);

	udp_connect(pair.client, name_of(third, getsockname));
	udp_connect(pair.client, there);
	expect_released(&flow);
	expect_alive(pair.client, pair.server);
	close(third);
	udp_close(&pair);
}
