/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socket that connects again or sends elsewhere: what the cgroup gate remembers of it no longer
 * counts. The picture is in test_gate_remembered.c.
 */
#include "remembered_fixture.h"

TestSuite(gate_remembered_socket, .init = set_up, .fini = gate_tear_down, .timeout = 180);

/* The latch of the other flow is there before: nothing but the connect() changes. */
Test(gate_remembered_socket, L_5_2_2_a_steady_socket_that_connects_elsewhere_is_checked)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int third = udp_bound(IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	flow.remote_port = port_of(third);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	warm(pair.client);
	udp_connect(pair.client, name_of(third, getsockname));
	expect_lost(pair.client, LATCH_DROP_PLAINTEXT);
	close(third);
	udp_close(&pair);
}

/* Nothing else tells it: both ends of the socket are the same again. */
Test(gate_remembered_socket, L_5_2_2_a_steady_socket_that_connects_again_is_checked_again)
{
	struct pair pair = warm_clear_pair(IPV4, IPV4);
	int third = udp_bound(IPV4);

	udp_connect(pair.client, name_of(third, getsockname));
	udp_connect(pair.client, name_of(pair.server, getsockname));
	cr_expect_eq(checks_of_datagrams(pair.client, 1), 1);
	warm(pair.client);
	udp_disconnect(pair.client);
	udp_connect(pair.client, name_of(pair.server, getsockname));
	cr_expect_eq(checks_of_datagrams(pair.client, 1), 1);
	close(third);
	udp_close(&pair);
}

/* connect() to accept(). */
static uint64_t checks_of_connect(struct pair *pair)
{
	struct address there = name_of(pair->listener, getsockname);
	uint64_t before = checks_in_full();

	cr_assert_eq(connect(pair->client, &there.any, there.length), 0, "%s", strerror(errno));
	pair->server = accept4(pair->listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair->server, 0);
	return checks_in_full() - before;
}

Test(gate_remembered_socket, a_tcp_socket_that_connects_again_is_checked_as_a_new_one)
{
	struct pair pair = {.client = bound_socket(IPV4, NULL),
			    .listener = start_listener(IPV4, NULL)};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	uint64_t first = checks_of_connect(&pair);

	set_no_delay(pair.client);
	set_no_delay(pair.server);
	expect_steady(&pair);
	close(pair.server);
	cr_assert_eq(connect(pair.client, &none, sizeof(none)), 0);
	cr_expect_eq(checks_of_connect(&pair), first);
	close_pair(&pair);
}

/* The latch is the other socket's. The socket meets it again before that one ends. */
Test(gate_remembered_socket, L_5_2_2_a_socket_that_returns_to_its_peer_ends_with_the_latch_it_meets)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	int third = udp_bound(IPV4);
	struct latch_flow flow;

	other = second_socket(one, peer);
	udp_connect(one, name_of(peer, getsockname));
	flow = udp_flow(one);
	make_esp("ip", "udp", port_of(peer));
	put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	put_latch_of(&flow, one);
	cr_assert_eq(udp_send(one), 0);
	warm(other);
	udp_connect(other, name_of(third, getsockname));
	udp_connect(other, name_of(peer, getsockname));
	cr_assert_eq(udp_send(other), 0);
	close(one);
	cr_assert_not(has_latch(&flow));
	expect_refused(other, LATCH_DROP_CLOSED);
	close(other);
	close(third);
	close(peer);
}

/* A check of the former connection may be under way when its socket connects again. */
Test(gate_remembered_socket, L_5_2_2_the_end_of_a_connection_invalidates_what_its_flow_has_passed)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	int third = udp_bound(IPV4);
	struct latch_flow flow;

	other = second_socket(one, peer);
	udp_connect(one, name_of(peer, getsockname));
	flow = udp_flow(one);
	make_esp("ip", "udp", port_of(peer));
	put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	put_latch_of(&flow, one);
	warm(other);
	warm(one);
	udp_connect(other, name_of(third, getsockname));
	udp_connect(other, name_of(peer, getsockname));
	cr_expect_eq(checks_of_datagrams(one, 1), 1);
	close(one);
	close(other);
	close(third);
	close(peer);
}

/* Each may be one that the former connection has left behind: test_gate_udp.c. */
Test(gate_remembered_socket,
     L_5_2_2_a_socket_with_a_former_latched_connection_is_always_checked_in_full)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);
	int third = udp_bound(IPV4);

	udp_connect(pair.client, name_of(third, getsockname));
	cr_assert_eq(udp_send(pair.client), 0);
	cr_assert_not(has_latch(&flow));
	cr_expect_eq(checks_of_datagrams(pair.client, PACKETS), PACKETS);
	close(third);
	udp_close(&pair);
}

/* Each of its datagrams may have a name, which the gate has to take: test_gate_udp_rewritten.c. */
Test(gate_remembered_socket, a_socket_that_sends_elsewhere_is_always_checked_in_full)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);
	int third = udp_bound(IPV4);

	udp_send_to(pair.client, name_of(third, getsockname));
	cr_expect_eq(checks_of_datagrams(pair.client, PACKETS), PACKETS);
	close(third);
	udp_close(&pair);
}
