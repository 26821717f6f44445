/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which datagram latches a UDP connection, on the kernel's own sockets: only one that was made
 * after the last connect() (RFC 5660 section 5.2). One that is corked waits as in a queue.
 *
 *	client --> nft: to the server, protocol = ESP --> gate_egress --> lo: nothing receives ESP
 *	       +-> third, in clear
 */
#include "gate_rules.h"
#include "pretended_esp.h"
#include "udp.h"

#include <netinet/udp.h>

#define PARAMS 7

static void set_up(void)
{
	gate_set_up();
	attach_gates();
	attach(GATES_CONNECT4);
	attach(GATES_CONNECT6);
}

TestSuite(gate_connect, .init = set_up, .fini = gate_tear_down, .timeout = 60);

static const char *const addresses[] = {IPV4, IPV6};
#define ADDRESSES (sizeof(addresses) / sizeof(addresses[0]))

/* What the client sends to the server from now on seems to be ESP under a bound SA. */
static struct latch_flow protect(const struct pair *pair, const char *address)
{
	struct latch_flow flow = udp_flow(pair->client);

	make_esp(strchr(address, ':') ? "ip6" : "ip", "udp", port_of(pair->server));
	put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	return flow;
}

static void cork(int fd, int on)
{
	cr_assert_eq(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &on, sizeof(on)), 0);
}

static void expect_latched(const struct latch_flow *flow)
{
	cr_assert(has_latch(flow));
	cr_expect_eq(latch_of(flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(flow).word.params, PARAMS);
}

Test(gate_connect, L_5_2_1_the_first_datagram_of_a_connection_latches_it)
{
	size_t i;

	for (i = 0; i < ADDRESSES; i++) {
		struct pair pair = udp_pair(addresses[i], addresses[i]);
		struct latch_flow flow = protect(&pair, addresses[i]);

		cr_expect_eq(udp_send(pair.client), 0);
		expect_latched(&flow);
		udp_close(&pair);
	}
	cr_expect_eq(drops_in_all().egress, 0);
}

Test(gate_connect, R_2_2_require_passes_the_first_datagram_of_a_connection)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = protect(&pair, IPV4);

	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_expect_eq(udp_send(pair.client), 0);
	expect_latched(&flow);
	udp_close(&pair);
}

Test(gate_connect, a_connected_datagram_that_was_corked_latches_its_connection)
{
	size_t i;

	for (i = 0; i < ADDRESSES; i++) {
		struct pair pair = udp_pair(addresses[i], addresses[i]);
		struct latch_flow flow = protect(&pair, addresses[i]);

		cork(pair.client, 1);
		cr_expect_eq(udp_send(pair.client), 0);
		cork(pair.client, 0);
		expect_latched(&flow);
		udp_close(&pair);
	}
}

Test(gate_connect, R_2_4_a_datagram_from_before_the_first_connect_latches_nothing)
{
	size_t i;

	for (i = 0; i < ADDRESSES; i++) {
		struct pair pair = {.client = udp_bound(addresses[i]),
				    .server = udp_bound(addresses[i])};
		struct address there = name_of(pair.server, getsockname);
		struct latch_flow flow;

		cork(pair.client, 1);
		cr_expect_eq(udp_send_to(pair.client, there), 0);
		udp_connect(pair.client, there);
		flow = protect(&pair, addresses[i]);
		cork(pair.client, 0);
		cr_expect_not(has_latch(&flow), "an early datagram has latched the connection");
		cr_expect_eq(udp_send(pair.client), 0);
		expect_latched(&flow);
		udp_close(&pair);
	}
}

/* Over IPv4 connect() overwrites the destination of what is corked. */
Test(gate_connect, R_2_4_a_datagram_of_a_former_connection_latches_nothing)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int third = udp_bound(IPV4);
	struct latch_flow flow;

	udp_connect(pair.client, name_of(third, getsockname));
	cork(pair.client, 1);
	cr_expect_eq(udp_send(pair.client), 0);
	udp_connect(pair.client, name_of(pair.server, getsockname));
	flow = protect(&pair, IPV4);
	cork(pair.client, 0);
	cr_expect_not(has_latch(&flow), "a datagram of the former connection has latched this one");
	cr_expect_eq(udp_send(pair.client), 0);
	expect_latched(&flow);
	close(third);
	udp_close(&pair);
}
