/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Audit mode at the cgroup gate: nothing is dropped, what enforcement would have dropped is
 * counted, and is dropped as soon as enforcement begins. All packets are in clear, save those
 * that leave as protocol 50.
 *
 *	        test's cgroup: gate_egress, gate_ingress, watch_socket
 *	+------------------------------------------------------------------+
 *	| client <---- in clear, under latch or rule ----> server          |
 *	+------------------------------------------------------------------+
 *	   settings.mode ----> verdict ----> audits, latches, no drops
 */
#include "audit_fixture.h"

TestSuite(gate_audit, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

/* ---- latched flows */

Test(gate_audit, audit_mode_lets_a_latched_flow_pass_in_clear_and_counts_it)
{
	struct latch_event event = {0};
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	struct sum sum;

	attach_gates();
	begin_audit();
	expect_both_ways(&pair);
	expect_no_drop();
	cr_expect_eq(audited(LATCH_DROP_PLAINTEXT).flows, 1);
	cr_expect_geq(audited(LATCH_DROP_PLAINTEXT).packets, 2);
	sum = audited_as(LATCH_DROP_PLAINTEXT, 0, false);
	cr_expect_arr_eq(&sum.row.flow, &flow, sizeof(flow));
	cr_expect_eq(sum.key.params, 3);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(&flow).drops, 0);
	cr_expect_eq(events_of(LATCH_EVENT_DROP, &flow, &event), 2, "one for each direction");
	cr_expect_eq(event.audited, 1);
	begin_enforcement();
	expect_blocked(&pair, LATCH_DROP_PLAINTEXT);
	close_pair(&pair);
}

Test(gate_audit, a_latch_that_breaks_in_audit_mode_passes_until_enforcement_begins)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	struct latch_audit row;

	attach_gates();
	begin_audit();
	break_latch(&flow);
	row = audited_as(LATCH_DROP_BROKEN, LATCH_REASON_SA_CONFLICT, false).row;
	cr_expect_eq(row.flows, 1);
	cr_expect_eq(row.packets, 0);
	expect_both_ways(&pair);
	expect_no_drop();
	row = audited_as(LATCH_DROP_BROKEN, LATCH_REASON_SA_CONFLICT, false).row;
	cr_expect_eq(row.flows, 1);
	cr_expect_geq(row.packets, 2);
	begin_enforcement();
	expect_blocked(&pair, LATCH_DROP_BROKEN);
	begin_audit();
	expect_blocked(&pair, LATCH_DROP_BROKEN);
	close_pair(&pair);
}

Test(gate_audit, a_latch_that_broke_under_enforcement_stays_blocked_in_audit_mode)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow), other = connect_prompt_pair(IPV4, IPV4);

	attach_gates();
	break_latch(&flow);
	begin_audit();
	expect_blocked(&pair, LATCH_DROP_BROKEN);
	cr_expect_eq(latch_break(&maps, &flow, LATCH_ID, LATCH_REASON_SPD_CHANGE, NULL),
		     LATCH_CONTROL_DONE);
	expect_blocked(&pair, LATCH_DROP_BROKEN);
	expect_both_ways(&other);
	close_pair(&pair);
	close_pair(&other);
}

Test(gate_audit, a_latch_that_heals_and_breaks_anew_is_decided_anew)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	attach_gates();
	break_latch(&flow);
	begin_audit();
	cr_assert_eq(latch_heal(&maps, &flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	expect_both_ways(&pair);
	break_latch(&flow);
	expect_both_ways(&pair);
	begin_enforcement();
	expect_blocked(&pair, LATCH_DROP_BROKEN);
	close_pair(&pair);
}

/* The socket of a closed latch: its last latched packet tells in which mode it was decided. */
Test(gate_audit, the_socket_of_a_latch_closed_in_audit_mode_passes_until_enforcement_begins)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	attach_gates();
	begin_audit();
	expect_both_ways(&pair);
	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	expect_both_ways(&pair);
	expect_no_drop();
	cr_expect_eq(audited(LATCH_DROP_CLOSED).flows, 1);
	begin_enforcement();
	expect_blocked(&pair, LATCH_DROP_CLOSED);
	close_pair(&pair);
}

Test(gate_audit, the_socket_of_a_latch_closed_under_enforcement_stays_blocked)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	attach_gates();
	expect_blocked(&pair, LATCH_DROP_PLAINTEXT);
	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	expect_blocked(&pair, LATCH_DROP_CLOSED);
	begin_audit();
	expect_blocked(&pair, LATCH_DROP_CLOSED);
	close_pair(&pair);
}

/* ---- packets that cannot be read */

#define CHAIN_PORT                                                                                 \
	0x3cff /* as the first two bytes: destination options, longer than any packet              \
		*/

static struct pair unreadable_pair(struct latch_flow *ret_flow)
{
	struct address here = address_of(IPV6, CHAIN_PORT), there;
	struct pair pair = {.listener = start_listener(IPV6, NULL)};

	pair.client = new_socket(&here, NULL);
	cr_assert_eq(bind(pair.client, &here.any, here.length), 0, "%s", strerror(errno));
	there = address_of(IPV6, port_of(pair.listener));
	cr_assert_eq(connect(pair.client, &there.any, there.length), 0, "%s", strerror(errno));
	pair.server = accept(pair.listener, NULL, NULL);
	cr_assert_geq(pair.server, 0);
	set_no_delay(pair.client);
	*ret_flow = flow_of(pair.client);
	put_latch_of(ret_flow, pair.client);
	return pair;
}

static void make_unreadable(void)
{
	char rule[160];

	run("nft add table ip6 t");
	run("nft 'add chain ip6 t out { type filter hook output priority 0; }'");
	snprintf(rule, sizeof(rule), "nft 'add rule ip6 t out tcp sport %u ip6 nexthdr set 60'",
		 CHAIN_PORT);
	run(rule);
}

Test(gate_audit, an_unreadable_packet_passes_and_is_counted)
{
	struct latch_flow flow;
	struct pair pair = unreadable_pair(&flow);

	attach_gates();
	begin_audit();
	make_unreadable();
	send_byte(pair.client);
	wait_for(audited(LATCH_DROP_MALFORMED).packets);
	cr_expect_eq(drops_for(LATCH_DROP_MALFORMED).egress, 0);
	begin_enforcement();
	wait_for(drops_for(LATCH_DROP_MALFORMED).egress); /* repeated */
	close_pair(&pair);
}

Test(gate_audit, an_unreadable_packet_passes_no_latch_that_enforcement_has_broken)
{
	struct latch_flow flow;
	struct pair pair = unreadable_pair(&flow);

	attach_gates();
	break_latch(&flow);
	begin_audit();
	make_unreadable();
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_MALFORMED).egress);
	cr_expect_eq(audited(LATCH_DROP_MALFORMED).packets, 0);
	close_pair(&pair);
}

Test(gate_audit, an_unreadable_packet_passes_no_socket_whose_latch_enforcement_has_closed)
{
	struct latch_flow flow;
	struct pair pair = unreadable_pair(&flow);

	attach_gates();
	expect_blocked(&pair, LATCH_DROP_PLAINTEXT);
	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	begin_audit();
	make_unreadable();
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_MALFORMED).egress);
	cr_expect_eq(audited(LATCH_DROP_MALFORMED).packets, 0);
	close_pair(&pair);
}

/* ---- LARVAL flows under a rule that requires a latch */

static void check_larval(uint32_t begun, uint8_t reasons)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct latch latch = {
		.id = LATCH_ID,
		.owner = LATCH_OWNER_SOCKET,
		.socket_cookie = cookie_of(pair.client),
		.word.state = LATCH_STATE_LARVAL,
	};

	attach_gates();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	begin_audit();
	latch.decided = begun ? begun : mode_read(&maps);
	put_mark(&flow, &latch);
	send_byte(pair.server); /* in clear: any host can forge it */
	wait_for(is_readable(pair.client));
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	make_esp("ip", "tcp", port_of(pair.listener));
	put_sa_of(&flow, LATCH_SA_ORPHAN, 0);
	send_byte(pair.client);
	wait_for(counter(LATCH_COUNTER_AUDITED) >= 3);
	cr_expect_eq(latch_of(&flow).word.reasons, reasons);
	close_pair(&pair);
}

Test(gate_audit, a_larval_connection_that_ended_its_handshake_where_enforcement_refuses_gets_a_mark)
{
	check_larval(0, LATCH_REASON_REFUSED);
}

Test(gate_audit, a_larval_connection_from_before_the_audit_gets_no_mark)
{
	check_larval(77, 0);
}

static void check_contested_larval(bool decided, uint8_t reasons)
{
	const uint32_t decision = LATCH_PAIR_CONTESTED;
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_sa_key key = sa_of(&flow);
	struct latch_pair addresses = {.netns = flow.netns, .params = 8, .family = flow.family};
	struct latch_sa sa = {.word = {.serial = 1,
				       .params = 8,
				       .state = LATCH_SA_BOUND,
				       .flags = LATCH_SA_CONTESTED}};
	struct latch latch = {
		.id = LATCH_ID,
		.owner = LATCH_OWNER_SOCKET,
		.socket_cookie = cookie_of(pair.client),
		.word = {.state = LATCH_STATE_LARVAL, .params = 8},
	};

	memcpy(addresses.local_addr, flow.local_addr, sizeof(addresses.local_addr));
	memcpy(addresses.remote_addr, flow.remote_addr, sizeof(addresses.remote_addr));
	attach_gates();
	begin_audit();
	latch.decided = mode_read(&maps);
	put_mark(&flow, &latch);
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	if (decided)
		cr_assert_eq(bpf_map_update_elem(maps.pairs, &addresses, &decision, BPF_ANY), 0);
	make_esp("ip", "tcp", port_of(pair.listener));
	send_byte(pair.client);
	wait_for(counter(LATCH_COUNTER_AUDITED) >= 1);
	cr_expect_eq(latch_of(&flow).word.reasons, reasons);
	cr_expect_eq(latch_of(&flow).word.state, reasons ? LATCH_STATE_BROKEN : LATCH_STATE_LARVAL);
	close_pair(&pair);
}

Test(gate_audit, R_2_3_8_a_larval_connection_that_another_sa_can_carry_gets_a_mark)
{
	check_contested_larval(true, LATCH_REASON_REFUSED);
}

Test(gate_audit, a_larval_connection_that_waits_for_a_decision_gets_no_mark)
{
	check_contested_larval(false, 0);
}

static void wait_for_owners_an_hour(void)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	settings.pending_limit = HOUR_NS;
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
}

/* Enforcement loses the SYN and waits for the next. In audit mode there is no next one. */
Test(gate_audit, a_connection_that_begins_under_a_pending_sa_is_larval_in_audit_mode)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL);
	struct latch_flow flow = flow_to(client, IPV4, listener);
	struct address there = address_of(IPV4, port_of(listener));

	wait_for_owners_an_hour();
	make_esp("ip", "tcp", port_of(listener));
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	attach_all();
	begin_audit();
	begin_connect(client, &there);
	wait_for(has_latch(&flow));
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	expect_no_drop();
	cr_expect_eq(audited(LATCH_DROP_SA_PENDING).flows, 1);
	close(client);
	close(listener);
}

/* ---- connected UDP */

Test(gate_audit, only_a_datagram_that_leaves_marks_a_flow_of_connected_udp)
{
	int there = udp_socket(address_of(IPV4, 0), false);
	int here = udp_socket(address_of(IPV4, 0), false);
	struct latch_flow flow;

	udp_connect(here, name_of(there, getsockname));
	flow = udp_flow(here);
	attach_gates();
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	begin_audit();
	cr_assert_eq(udp_send_to(there, name_of(here, getsockname)), 0);
	wait_for(is_readable(here));
	cr_expect_not(has_latch(&flow));
	cr_assert_eq(udp_send(here), 0);
	wait_for(is_readable(there));
	cr_expect_eq(counter(LATCH_COUNTER_AUDIT_UNMARKED), 0);
	cr_expect_eq(audited(LATCH_DROP_REQUIRED).packets, 2);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_REFUSED);
	expect_no_drop();
	begin_enforcement();
	clear_rules();
	cr_expect_eq(udp_send(here), -EPERM);
	close(here);
	close(there);
}

Test(gate_audit, a_datagram_that_enforcement_allows_ends_the_mark_of_its_flow)
{
	int there = udp_socket(address_of(IPV4, 0), false);
	int here = udp_socket(address_of(IPV4, 0), false);
	struct latch_flow flow;

	udp_connect(here, name_of(there, getsockname));
	flow = udp_flow(here);
	attach_gates();
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	begin_audit();
	cr_assert_eq(udp_send(here), 0);
	cr_assert_eq(udp_send(here), 0);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_REFUSED);
	clear_rules();
	cr_assert_eq(udp_send(here), 0);
	cr_expect_not(has_latch(&flow));
	begin_enforcement();
	cr_expect_eq(udp_send(here), 0);
	expect_no_drop();
	close(here);
	close(there);
}
