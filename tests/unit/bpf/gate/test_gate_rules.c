/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules at the cgroup gate, on connections in clear. tests/vm/rules has the connections with ESP.
 *
 *	        test's cgroup: gate_egress, gate_ingress, watch_socket
 *	+------------------------------------------------------------------+
 *	| client ---- SYN, data ----> gates <---- SYN/ACK, data --- server |
 *	+--------------------------------|---------------------------------+
 *	          rules, settings -------+------> drops, events (REFUSED)
 */
#include "gate_rules.h"

#include "udp.h"

#include "latchd/latch/refused_connect.h"

TestSuite(gate_rules, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

static uint64_t slow_path(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_SLOW_PATH];
}

/* ---- starts */

/* Flows share the slots that limit events: an earlier flow must not suppress this one's event. */
static void forget_earlier_refusals(void)
{
	int refusals = gates_map(gates, "refusals");
	const uint64_t never = 0;
	uint32_t slot;

	cr_assert_geq(refusals, 0);
	for (slot = 0; !bpf_map_update_elem(refusals, &slot, &never, BPF_ANY); slot++)
		;
	cr_assert_gt(slot, 0);
}

static void check_required_out(const char *listen_on, const char *connect_from)
{
	int listener = start_listener(listen_on, NULL), client;
	uint64_t before = drops_for(LATCH_DROP_REQUIRED).egress;
	struct latch_event event = {0};
	struct latch_flow flow;

	forget_earlier_refusals();
	client = start_connect(connect_from, listener);
	flow = flow_to(client, connect_from, listener);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress > before);
	cr_expect_eq(drops_in_all().ingress, 0);
	cr_expect_not(is_readable(listener));
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(tcp_state_of(client), TCP_SYN_SENT);
	cr_expect_eq(events_of(LATCH_EVENT_REFUSED, &flow, &event), 1);
	cr_expect_eq(event.drop, LATCH_DROP_REQUIRED);
	cr_expect_eq(event.direction, LATCH_DIRECTION_OUT);
	cr_expect_eq(event.packet, LATCH_DIRECTION_OUT);
	cr_expect_eq(event.rule, config.rule_count - 1); /* the last rule requires */
	cr_expect_eq(event.sa.spi, 0);
	close(client);
	close(listener);
}

Test(gate_rules, R_2_2_require_drops_an_outgoing_syn_in_clear)
{
	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	check_required_out(IPV4, IPV4);
	check_required_out(IPV6, IPV6);
	check_required_out("::", MAPPED);
}

Test(gate_rules, R_2_3_require_drops_an_incoming_syn_in_clear)
{
	int listener = start_listener(IPV4, NULL), client;
	struct latch_flow flow;
	struct latch_event event = {0};

	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	client = start_connect(IPV4, listener);
	flow = other_end(flow_to(client, IPV4, listener));
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_eq(drops_in_all().egress, 0);
	cr_expect_not(is_readable(listener));
	cr_expect_eq(tcp_state_of(client), TCP_SYN_SENT);
	cr_expect_eq(events_of(LATCH_EVENT_REFUSED, &flow, &event), 1);
	cr_expect_eq(event.direction, LATCH_DIRECTION_IN);
	cr_expect_eq(event.packet, LATCH_DIRECTION_IN);
	close(client);
	close(listener);
}

/* The first rule that matches decides: off for IPv4, require for the rest. */
Test(gate_rules, R_2_13_off_before_require_lets_a_flow_pass_in_clear)
{
	struct pair pair;
	struct latch_flow flow;

	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_OFF, LATCH_DIRECTION_NONE, IPV4);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(drops_in_all().egress + drops_in_all().ingress, 0);
	check_required_out(IPV6, IPV6);
	close_pair(&pair);
}

/* ---- connections that are older than the rule */

static void check_blocked(const struct pair *pair)
{
	uint64_t before = drops_for(LATCH_DROP_REQUIRED).egress;

	send_byte(pair->client);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress > before);
	cr_expect_not(is_readable(pair->server));
	before = drops_for(LATCH_DROP_REQUIRED).egress;
	send_byte(pair->server);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress > before);
	cr_expect_not(is_readable(pair->client));
}

Test(gate_rules, require_blocks_a_connection_older_than_the_gate)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);

	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	attach_gates();
	check_blocked(&pair);
	close_pair(&pair);
}

Test(gate_rules, require_blocks_a_connection_that_an_earlier_rule_let_start)
{
	struct pair pair;

	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_AUTO, LATCH_DIRECTION_NONE, NULL);
	pair = connect_prompt_pair(IPV4, IPV4);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	config.rule_count = 0;
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	check_blocked(&pair);
	clear_rules();
	wait_for(is_readable(pair.server) && is_readable(pair.client));
	close_pair(&pair);
}

/* The gate knows which end accepted the connection: a rule for the other direction does not match.
 */
Test(gate_rules, require_out_does_not_match_the_accepting_end)
{
	struct pair pair;

	attach_gates();
	attach(GATES_SOCKET);
	pair = connect_prompt_pair(IPV4, IPV4);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(pair.server));
	/* The server's end was accepted: its data passes there, and the client's end drops it. */
	send_byte(pair.server);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_not(is_readable(pair.client));
	close_pair(&pair);
}

/* ---- a latch keeps the decisions of its creation */

Test(gate_rules, a_latch_keeps_its_rule_decision_when_the_rules_change)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct latch before, after;

	attach_gates();
	put_latch_of(&flow, pair.client);
	before = latch_of(&flow);
	put_rule(LATCH_ACTION_OFF, LATCH_DIRECTION_NONE, NULL);
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).egress);
	after = latch_of(&flow);
	cr_expect_eq(after.rule, before.rule);
	cr_expect_eq(after.rule_flags, before.rule_flags);
	cr_expect_eq(after.word.raw, before.word.raw);
	close_pair(&pair);
}

/* ---- refusals */

static unsigned int count_refusals(void)
{
	unsigned int i, found = 0;

	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	for (i = 0; i < event_count; i++)
		found += events_seen[i].type == LATCH_EVENT_REFUSED;
	return found;
}

/* More flows than places for their events: each SYN is dropped, few have an event. */
Test(gate_rules, a_flood_of_dropped_syns_sends_few_events)
{
	int listener = start_listener(IPV4, NULL), clients[200], i;

	attach_gates();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	for (i = 0; i < 200; i++)
		clients[i] = start_connect(IPV4, listener);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress >= 200);
	cr_expect_leq(count_refusals(), 64);
	cr_expect_geq(count_refusals(), 16);
	for (i = 0; i < 200; i++)
		close(clients[i]);
	close(listener);
}

Test(gate_rules, R_2_3_18_a_connect_that_cannot_get_a_latch_fails_at_once)
{
	int listener = start_listener(IPV4, NULL), client;
	struct latch_event event = {0};
	struct latch_flow flow;
	struct pollfd failed = {.events = POLLOUT};

	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	failed.fd = client = start_connect(IPV4, listener);
	flow = flow_to(client, IPV4, listener);
	wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
	cr_assert_eq(refused_connect_end(&maps, &event), 0);
	cr_assert_eq(poll(&failed, 1, LIMIT_MS), 1);
	cr_expect_eq(pending_error(client), ECONNABORTED);
	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT);
	close(client);
	close(listener);
}

/* Each of these events differs in one member from an event that ends a connect(). */
Test(gate_rules, R_2_15_a_connect_that_may_still_get_a_latch_continues)
{
	int listener = start_listener(IPV4, NULL), client;
	struct latch_event event = {0}, other;
	struct latch_flow flow;

	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	client = start_connect(IPV4, listener);
	flow = flow_to(client, IPV4, listener);
	wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
	other = event;
	other.packet = LATCH_DIRECTION_IN; /* any host may have sent the packet */
	cr_expect_eq(refused_connect_end(&maps, &other), -ENOENT);
	other = event;
	other.direction = LATCH_DIRECTION_NONE;
	cr_expect_eq(refused_connect_end(&maps, &other), -ENOENT);
	other = event;
	other.sa.spi = 0x1001; /* the packet had an SA: a pending one may be attributed later */
	cr_expect_eq(refused_connect_end(&maps, &other), -ENOENT);
	other = event;
	other.drop = LATCH_DROP_LATCHES_FULL;
	cr_expect_eq(refused_connect_end(&maps, &other), -ENOENT);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT);
	cr_expect_eq(tcp_state_of(client), TCP_SYN_SENT);
	cr_expect_eq(pending_error(client), 0);
	close(client);
	close(listener);
}

Test(gate_rules, a_refusal_does_not_end_an_established_connection)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.drop = LATCH_DROP_REQUIRED,
		.flow = flow_of(pair.client),
		.packet = LATCH_DIRECTION_OUT,
		.direction = LATCH_DIRECTION_OUT,
	};

	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT);
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

/* ---- connected UDP: the gate cannot know which end opened the flow */

static void check_udp(enum latch_direction direction)
{
	int there = udp_socket(address_of(IPV4, 0), false);
	int here = udp_socket(address_of(IPV4, 0), false);

	udp_connect(here, name_of(there, getsockname));
	cr_assert_eq(udp_send(here), 0);
	wait_for(is_readable(there));
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, direction, NULL);
	cr_expect_eq(udp_send(here), -EPERM);
	cr_assert_eq(udp_send_to(there, name_of(here, getsockname)), 0);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_not(is_readable(here));
	clear_rules();
	close(here);
	close(there);
}

Test(gate_rules, R_2_2_require_drops_connected_udp_in_clear_in_both_directions)
{
	attach_gates();
	check_udp(LATCH_DIRECTION_OUT);
	check_udp(LATCH_DIRECTION_IN);
}

/* ---- the cached verdict of a socket */

Test(gate_rules, a_rule_change_ends_the_cached_exemption_of_a_socket)
{
	struct pair pair;
	uint64_t before;

	set_drop_event_interval(1);
	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, IPV6);
	pair = connect_prompt_pair(IPV4, IPV4);
	before = slow_path();
	expect_alive(pair.client, pair.server);
	cr_expect_gt(slow_path(), before);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, IPV4);
	check_blocked(&pair);
	close_pair(&pair);
}
