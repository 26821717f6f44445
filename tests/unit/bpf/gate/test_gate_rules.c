/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules at the cgroup gate, on connections in clear: there is no ESP here. tests/vm/rules has the
 * rest. */
#include "gate_rules.h"

#include "latchd/latch/refusal.h"

TestSuite(gate_rules, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

static uint64_t slow_path(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_SLOW_PATH];
}

/* ---- starts */

static void check_required_out(const char *listen_on, const char *connect_from)
{
	int listener = start_listener(listen_on, NULL);
	uint64_t before = drops_for(LATCH_DROP_REQUIRED).egress;
	int client = start_connect(connect_from, listener);
	struct latch_flow flow = flow_to(client, connect_from, listener);
	struct latch_event event = {0};

	wait_for(drops_for(LATCH_DROP_REQUIRED).egress > before);
	cr_expect_eq(drops_in_all().ingress, 0);
	cr_expect_not(is_readable(listener));
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(tcp_state_of(client), TCP_SYN_SENT);
	cr_expect_eq(events_of(LATCH_EVENT_REFUSED, &flow, &event), 1);
	cr_expect_eq(event.drop, LATCH_DROP_REQUIRED);
	cr_expect_eq(event.direction, LATCH_DIRECTION_OUT);
	cr_expect_eq(event.packet, LATCH_DIRECTION_OUT);
	cr_expect_eq(event.rule, config.rule_count - 1); /* which is the one that requires */
	cr_expect_eq(event.sa.spi, 0);
	close(client);
	close(listener);
}

Test(gate_rules, R_2_2_require_lets_no_syn_out_in_clear)
{
	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	check_required_out(IPV4, IPV4);
	check_required_out(IPV6, IPV6);
	check_required_out("::", MAPPED);
}

Test(gate_rules, R_2_3_require_lets_no_syn_in_in_clear)
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

/* The first rule that matches: off before require, and the other way round. */
Test(gate_rules, R_2_13_off_passes_before_require)
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

/* ---- connections from before */

static void check_cut_off(const struct pair *pair)
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

Test(gate_rules, require_cuts_off_a_connection_from_before_latchd)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);

	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	attach_gates();
	check_cut_off(&pair);
	close_pair(&pair);
}

Test(gate_rules, require_cuts_off_what_other_rules_had_let_begin)
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
	check_cut_off(&pair);
	drop_rules();
	wait_for(is_readable(pair.server) && is_readable(pair.client));
	close_pair(&pair);
}

/* Who accepted the connection is known, and a rule for the other way is not for it. */
Test(gate_rules, require_for_one_way_leaves_the_other)
{
	struct pair pair;

	attach_gates();
	attach(GATES_SOCKET);
	pair = connect_prompt_pair(IPV4, IPV4);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(pair.server));
	/* The server's end was accepted: what it sends passes there, and stops at the client's. */
	send_byte(pair.server);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_not(is_readable(pair.client));
	close_pair(&pair);
}

/* ---- a latch keeps what it was born with */

Test(gate_rules, a_latch_outlives_its_rules)
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

static void set_interval(uint64_t interval)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	settings.drop_event_interval = interval;
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
}

static unsigned int refusals_seen(void)
{
	unsigned int i, found = 0;

	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	for (i = 0; i < event_count; i++)
		found += events_seen[i].type == LATCH_EVENT_REFUSED;
	return found;
}

/* More flows than there are places; each SYN is dropped, few are told. */
Test(gate_rules, a_flood_of_flows_is_no_flood_of_events)
{
	int listener = start_listener(IPV4, NULL), clients[200], i;

	attach_gates();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	for (i = 0; i < 200; i++)
		clients[i] = start_connect(IPV4, listener);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress >= 200);
	cr_expect_leq(refusals_seen(), 64);
	cr_expect_geq(refusals_seen(), 16);
	for (i = 0; i < 200; i++)
		close(clients[i]);
	close(listener);
}

Test(gate_rules, R_2_3_18_a_connect_that_can_have_no_latch_fails_at_once)
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
	cr_assert_eq(refusal_end_connect(&maps, &event), 0);
	cr_assert_eq(poll(&failed, 1, LIMIT_MS), 1);
	cr_expect_eq(pending_error(client), ECONNABORTED);
	cr_expect_eq(refusal_end_connect(&maps, &event), -ENOENT);
	close(client);
	close(listener);
}

/* None of these may end a connect(): each event differs from a final one in one thing. */
Test(gate_rules, R_2_15_a_connect_that_may_yet_succeed_is_left_alone)
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
	other.packet = LATCH_DIRECTION_IN; /* anybody may have sent it */
	cr_expect_eq(refusal_end_connect(&maps, &other), -ENOENT);
	other = event;
	other.direction = LATCH_DIRECTION_NONE;
	cr_expect_eq(refusal_end_connect(&maps, &other), -ENOENT);
	other = event;
	other.sa.spi = 0x1001; /* it had an SA, of nobody yet */
	cr_expect_eq(refusal_end_connect(&maps, &other), -ENOENT);
	other = event;
	other.drop = LATCH_DROP_LATCHES_FULL;
	cr_expect_eq(refusal_end_connect(&maps, &other), -ENOENT);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_expect_eq(refusal_end_connect(&maps, &event), -ENOENT);
	cr_expect_eq(tcp_state_of(client), TCP_SYN_SENT);
	cr_expect_eq(pending_error(client), 0);
	close(client);
	close(listener);
}

Test(gate_rules, an_established_connection_is_never_ended_as_refused)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.drop = LATCH_DROP_REQUIRED,
		.flow = flow_of(pair.client),
		.packet = LATCH_DIRECTION_OUT,
		.direction = LATCH_DIRECTION_OUT,
	};

	cr_expect_eq(refusal_end_connect(&maps, &event), -ENOENT);
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

/* ---- connected UDP, of which nobody knows who opened it */

static void check_udp(enum latch_direction direction)
{
	struct address any = address_of(IPV4, 0), name;
	int there = namespace_socket(&ns, AF_INET, SOCK_DGRAM), here;
	char byte = 'x';

	cr_assert_eq(bind(there, &any.any, any.length), 0);
	name = name_of(there, getsockname);
	here = namespace_socket(&ns, AF_INET, SOCK_DGRAM);
	cr_assert_eq(connect(here, &name.any, name.length), 0);
	cr_assert_eq(send(here, &byte, 1, 0), 1);
	wait_for(is_readable(there));
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, direction, NULL);
	cr_expect_eq(send(here, &byte, 1, 0), -1);
	cr_expect_eq(errno, EPERM);
	name = name_of(here, getsockname);
	cr_assert_eq(sendto(there, &byte, 1, 0, &name.any, name.length), 1);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_not(is_readable(here));
	drop_rules();
	close(here);
	close(there);
}

Test(gate_rules, R_2_2_connected_udp_under_require)
{
	attach_gates();
	check_udp(LATCH_DIRECTION_OUT);
	check_udp(LATCH_DIRECTION_IN);
}

/* ---- the price */

Test(gate_rules, an_exemption_ends_with_the_rules)
{
	struct pair pair;
	uint64_t before;

	set_interval(1);
	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, IPV6);
	pair = connect_prompt_pair(IPV4, IPV4);
	before = slow_path();
	expect_alive(pair.client, pair.server);
	cr_expect_gt(slow_path(), before);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, IPV4);
	check_cut_off(&pair);
	close_pair(&pair);
}
