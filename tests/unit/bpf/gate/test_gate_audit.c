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
#include "gate_rules.h"

#include "pretended_esp.h"
#include "udp.h"

#include "latch_mode.h"
#include "latchd/latch/refused_connect.h"

TestSuite(gate_audit, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

static void begin_audit(void)
{
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
}

static void begin_enforcement(void)
{
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
}

/* ---- the audit table */

struct sum {
	struct latch_audit_key key; /* drop, reasons and others are wanted */
	struct latch_audit row;	    /* of all rows that match */
	unsigned int rows;
};

static int add_row(void *context, const struct latch_audit_key *key, const struct latch_audit *row)
{
	struct sum *sum = context;

	if (key->drop != sum->key.drop || key->reasons != sum->key.reasons ||
	    key->others != sum->key.others)
		return 0;
	sum->rows++;
	sum->key = *key;
	sum->row.flows += row->flows;
	sum->row.packets += row->packets;
	sum->row.flow = row->flow;
	return 0;
}

static struct sum audited_as(enum latch_drop why, uint8_t reasons, bool others)
{
	struct sum sum = {.key = {.drop = (uint8_t)why, .reasons = reasons, .others = others}};
	struct map_cursor cursor = {0};

	while (!cursor.ended)
		cr_assert_eq(audits_walk_part(&maps, &cursor, add_row, &sum), 0);
	return sum;
}

static struct latch_audit audited(enum latch_drop why)
{
	return audited_as(why, 0, false).row;
}

/* ---- traffic */

static void expect_both_ways(const struct pair *pair)
{
	expect_alive(pair->client, pair->server);
	expect_alive(pair->server, pair->client);
}

static void expect_no_drop(void)
{
	struct latch_drop_count drops = drops_in_all();

	cr_expect_eq(drops.egress, 0);
	cr_expect_eq(drops.ingress, 0);
}

static void expect_no_other_drop(enum latch_drop but)
{
	struct latch_drop_count drops = drops_for_others(but);

	cr_expect_eq(drops.egress, 0);
	cr_expect_eq(drops.ingress, 0);
}

static void expect_blocked(const struct pair *pair, enum latch_drop why)
{
	uint64_t before = drops_for(why).egress;

	send_byte(pair->client);
	wait_for(drops_for(why).egress > before);
	cr_expect_not(is_readable(pair->server));
}

/* Only the client's end has a latch. */
static struct pair latched_pair(struct latch_flow *ret_flow)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);

	*ret_flow = flow_of(pair.client);
	put_latch_of(ret_flow, pair.client);
	return pair;
}

static void break_latch(const struct latch_flow *flow)
{
	cr_assert_eq(latch_break(&maps, flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
}

static uint64_t counter(enum latch_counter which)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[which];
}

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

/* ---- flows that enforcement refuses */

static void attach_all(void)
{
	attach_gates();
	attach(GATES_SOCKET);
}

static void expect_mark(const struct latch_flow *flow)
{
	struct latch latch = latch_of(flow);

	cr_expect_eq(latch.word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch.word.reasons, LATCH_REASON_REFUSED);
	cr_expect_eq(latch.owner, LATCH_OWNER_SOCKET);
	cr_expect_eq(latch_heal(&maps, flow, latch.id, LATCH_REASONS_ALL, NULL),
		     LATCH_CONTROL_UNCHANGED);
}

static void check_refused(enum latch_direction direction)
{
	struct latch_event event = {0};
	struct latch_flow marked, other;
	struct pair pair;

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, direction, NULL);
	begin_audit();
	pair = connect_prompt_pair(IPV4, IPV4);
	marked = flow_of(direction == LATCH_DIRECTION_OUT ? pair.client : pair.server);
	other = other_end(marked);
	expect_both_ways(&pair);
	expect_no_drop();
	expect_mark(&marked);
	cr_expect_not(has_latch(&other));
	cr_expect_eq(audited(LATCH_DROP_REQUIRED).flows, 1);
	cr_expect_eq(audited_as(LATCH_DROP_BROKEN, LATCH_REASON_REFUSED, false).rows, 0);
	cr_assert_eq(events_of(LATCH_EVENT_REFUSED, &marked, &event), 1);
	cr_expect_eq(event.audited, 1);
	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT);
	/* Without its rule, too: the flow would not exist. */
	clear_rules();
	expect_both_ways(&pair);
	begin_enforcement();
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_BROKEN).egress + drops_for(LATCH_DROP_BROKEN).ingress);
	cr_expect_not(is_readable(pair.server));
	close_pair(&pair);
}

Test(gate_audit, a_connection_that_enforcement_refuses_passes_and_is_blocked_when_it_begins)
{
	check_refused(LATCH_DIRECTION_OUT);
}

Test(gate_audit, an_accepted_connection_that_enforcement_refuses_is_blocked_when_it_begins)
{
	check_refused(LATCH_DIRECTION_IN);
}

Test(gate_audit, a_connection_that_enforcement_allows_has_no_mark_and_continues)
{
	struct latch_flow flow, other;
	struct pair pair;

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, IPV6);
	begin_audit();
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	other = other_end(flow);
	expect_both_ways(&pair);
	cr_expect_not(has_latch(&flow));
	cr_expect_not(has_latch(&other));
	begin_enforcement();
	expect_both_ways(&pair);
	expect_no_drop();
	cr_expect_eq(audited(LATCH_DROP_REQUIRED).packets, 0);
	close_pair(&pair);
}

/* Nothing that passes by the mode alone is cached as exempt from rules. */
Test(gate_audit, a_connection_older_than_its_rule_passes_in_audit_mode_and_is_blocked_when_it_ends)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	begin_audit();
	expect_both_ways(&pair);
	expect_both_ways(&pair);
	expect_no_drop();
	cr_expect_eq(audited(LATCH_DROP_REQUIRED).flows, 2, "one for each end");
	begin_enforcement();
	expect_blocked(&pair, LATCH_DROP_REQUIRED);
	close_pair(&pair);
}

/* Any host can forge a SYN in clear: the next SYN of the flow is decided anew. */
Test(gate_audit, a_syn_that_enforcement_allows_replaces_the_mark_of_a_forged_one)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL);
	struct latch_flow flow = other_end(flow_to(client, IPV4, listener));
	struct address there = address_of(IPV4, port_of(listener));
	struct latch mark = {
		.id = LATCH_ID,
		.owner = LATCH_OWNER_HANDSHAKE,
		.word = {.reasons = LATCH_REASON_REFUSED, .state = LATCH_STATE_BROKEN},
	};

	attach_all();
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &mark, BPF_NOEXIST), 0);
	begin_connect(client, &there);
	wait_for(is_readable(listener));
	cr_expect_not(has_latch(&flow));
	expect_no_drop();
	close(client);
	close(listener);
}

static struct latch mark_of(enum latch_owner owner, uint8_t reasons)
{
	return (struct latch){
		.id = LATCH_ID,
		.owner = owner,
		.word = {.reasons = LATCH_REASON_REFUSED | reasons, .state = LATCH_STATE_BROKEN},
		.refusal = LATCH_DROP_REQUIRED,
	};
}

static void put_mark(const struct latch_flow *flow, const struct latch *mark)
{
	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, mark, BPF_NOEXIST), 0);
}

/* A forged SYN has met the socket in SYN_SENT. Its own SYN is decided anew. */
static void check_crossing(uint8_t reasons, bool continues)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL);
	struct latch_flow flow = flow_to(client, IPV4, listener);
	struct address there = address_of(IPV4, port_of(listener));
	struct latch mark = mark_of(LATCH_OWNER_SOCKET, reasons);

	mark.socket_cookie = cookie_of(client);
	attach_all();
	begin_audit();
	begin_enforcement();
	put_mark(&flow, &mark);
	begin_connect(client, &there);
	if (continues) {
		wait_for(is_readable(listener));
		cr_expect_not(has_latch(&flow));
		expect_no_drop();
	} else {
		wait_for(drops_for(LATCH_DROP_BROKEN).egress);
		cr_expect_eq(latch_of(&flow).id, LATCH_ID);
	}
	close(client);
	close(listener);
}

Test(gate_audit, a_forged_crossing_syn_leaves_no_mark_on_an_honest_connect)
{
	check_crossing(0, true);
}

Test(gate_audit, a_conflict_makes_the_mark_of_a_forged_syn_not_final)
{
	check_crossing(LATCH_REASON_SA_CONFLICT, true);
}

Test(gate_audit, a_mark_that_an_administrator_has_broken_stays)
{
	check_crossing(LATCH_REASON_ADMIN, false);
}

/* A flood of forged SYNs is no flood of events, and takes no more than one mark for each flow. */
Test(gate_audit, a_syn_that_is_refused_again_keeps_its_mark_without_an_event)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL);
	struct latch_flow flow = other_end(flow_to(client, IPV4, listener));
	struct address there = address_of(IPV4, port_of(listener));
	struct latch mark = mark_of(LATCH_OWNER_HANDSHAKE, 0);

	attach(GATES_INGRESS);
	set_drop_event_interval(1);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	begin_audit();
	mark.decided = mode_read(&maps);
	put_mark(&flow, &mark);
	begin_connect(client, &there);
	wait_for(is_readable(listener));
	cr_expect_eq(latch_of(&flow).id, LATCH_ID);
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, &flow, NULL), 0);
	cr_expect_eq(events_of(LATCH_EVENT_DROP, &flow, NULL), 0);
	cr_expect_geq(audited(LATCH_DROP_REQUIRED).packets, 1);
	expect_no_drop();
	close(client);
	close(listener);
}

/* ---- a contested SA, and no marks left for its peer */

static void contest(const struct latch_flow *flow, __u8 flags)
{
	struct latch_sa_key key = {
		.netns = flow->netns,
		.spi = (uint32_t)flow->local_port << 16 | flow->remote_port,
		.protocol = IPPROTO_ESP,
		.family = flow->family,
	};
	struct latch_sa sa = {
		.word = {.serial = 1, .params = 8, .state = LATCH_SA_BOUND, .flags = flags}};

	memcpy(key.daddr, flow->remote_addr, sizeof(key.daddr));
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
}

/* Its connection has no mark. The socket knows that it began in an audit. */
static void check_unmarked(__u8 flags, bool in_audit, enum latch_drop why)
{
	struct latch_flow flow;
	struct pair pair;

	attach_all();
	if (in_audit)
		begin_audit();
	pair = connect_prompt_pair(IPV4, IPV4);
	if (in_audit)
		begin_enforcement();
	flow = flow_of(pair.client);
	cr_expect_not(has_latch(&flow));
	make_esp("ip", "tcp", port_of(pair.listener));
	contest(&flow, flags);
	send_byte(pair.client);
	if (why != LATCH_DROP_COUNT)
		wait_for(drops_for(why).egress);
	expect_no_other_drop(why);
	close_pair(&pair);
}

Test(gate_audit, a_connection_of_the_audit_without_a_mark_is_refused_under_a_contested_sa)
{
	check_unmarked(LATCH_SA_CONTESTED, true, LATCH_DROP_CONFLICT);
}

Test(gate_audit, a_connection_of_the_audit_without_a_mark_continues_where_enforcement_allows_it)
{
	check_unmarked(0, true, LATCH_DROP_COUNT);
}

Test(gate_audit, a_connection_from_before_the_audit_continues_under_a_contested_sa)
{
	check_unmarked(LATCH_SA_CONTESTED, false, LATCH_DROP_COUNT);
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

/* ---- bounds */

static int map_named(const char *name)
{
	int fd = gates_map(gates, name);

	cr_assert_geq(fd, 0, "%s", name);
	return fd;
}

static uint64_t share_of(const char *map, uint32_t slot)
{
	uint64_t taken = 0;

	cr_assert_eq(bpf_map_lookup_elem(map_named(map), &slot, &taken), 0);
	return taken;
}

static void set_share(const char *map, uint32_t slot, uint64_t taken)
{
	cr_assert_eq(bpf_map_update_elem(map_named(map), &slot, &taken, BPF_ANY), 0);
}

static uint64_t marks(void)
{
	return share_of("mark_shares", 0);
}

static uint64_t unmarked(void)
{
	struct latch_clock clock;

	cr_assert_eq(clock_read(&maps, &clock), 0);
	return clock.audit_unmarked;
}

Test(gate_audit, marks_have_a_share_of_the_table_and_give_it_back)
{
	struct latch_flow flow;
	struct pair pair;
	uint32_t slot;

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	begin_audit();
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	slot = latch_of(&flow).mark_share;
	cr_expect_eq(marks(), 1);
	cr_expect_eq(share_of("mark_shares", slot), 1);
	close(pair.server); /* the other end is left in TIME_WAIT */
	wait_for(is_readable(pair.client));
	close(pair.client);
	close(pair.listener);
	wait_for(marks() == 0);
	cr_expect_eq(share_of("mark_shares", slot), 0);
	set_share("mark_shares", slot, latches_capacity(&maps) / 16);
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	expect_both_ways(&pair);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(unmarked(), 0, "the rule refuses it without a mark");
	cr_expect_eq(marks(), 0);
	begin_enforcement();
	expect_blocked(&pair, LATCH_DROP_REQUIRED);
	close_pair(&pair);
}

Test(gate_audit, flows_from_outside_take_no_mark_from_what_this_host_opens)
{
	struct latch_flow flow, accepted;
	struct pair pair;
	uint32_t slot;

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	begin_audit();
	pair = connect_prompt_pair(IPV4, IPV4);
	accepted = flow_of(pair.server);
	slot = latch_of(&accepted).mark_share;
	close_pair(&pair);
	set_share("mark_shares", slot, latches_capacity(&maps) / 16);
	set_share("mark_shares", 0, 3 * latches_capacity(&maps) / 16);
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	accepted = flow_of(pair.server);
	cr_expect(has_latch(&flow));
	cr_expect_not(has_latch(&accepted));
	close_pair(&pair);
}

/* The map of the shares was lost, and the marks were not. */
Test(gate_audit, a_mark_that_is_not_counted_widens_no_share)
{
	struct latch_flow flow;
	struct pair pair;

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	begin_audit();
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	set_share("mark_shares", latch_of(&flow).mark_share, 0);
	set_share("mark_shares", 0, 0);
	close(pair.server);
	wait_for(is_readable(pair.client));
	close(pair.client);
	close(pair.listener);
	wait_for(!has_latch(&flow));
	cr_expect_eq(marks(), 0);
}

Test(gate_audit, what_found_no_mark_is_counted_from_the_switch_on)
{
	struct latch_clock clock;
	__u32 key = 0;

	begin_audit();
	cr_assert_eq(clock_read(&maps, &clock), 0);
	clock.audit_unmarked = 5;
	cr_assert_eq(bpf_map_update_elem(maps.clock, &key, &clock, BPF_ANY), 0);
	begin_enforcement();
	cr_expect_eq(unmarked(), 5);
	begin_audit();
	cr_expect_eq(unmarked(), 0);
}

Test(gate_audit, a_rule_beyond_its_share_of_the_audit_table_counts_in_one_row_of_others)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	attach_gates();
	begin_audit();
	set_share("audit_shares", 0, LATCH_AUDIT_ROWS_RULE);
	expect_both_ways(&pair);
	cr_expect_eq(audited(LATCH_DROP_PLAINTEXT).packets, 0);
	cr_expect_eq(audited_as(LATCH_DROP_PLAINTEXT, 0, true).rows, 1);
	cr_expect_geq(audited_as(LATCH_DROP_PLAINTEXT, 0, true).row.packets, 2);
	cr_expect_eq(share_of("audit_shares", 0), LATCH_AUDIT_ROWS_RULE);
	cr_expect_eq(share_of("audit_shares", LATCH_AUDIT_SHARE_ALL), 0);
	close_pair(&pair);
}

Test(gate_audit, a_new_audit_begins_with_an_empty_table)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	attach_gates();
	begin_audit();
	expect_both_ways(&pair);
	begin_enforcement();
	cr_expect_eq(audited(LATCH_DROP_PLAINTEXT).flows, 1, "the administrator may read it still");
	cr_expect_eq(latch_mode_switch(&maps, false), 0);
	begin_audit();
	cr_expect_eq(audited(LATCH_DROP_PLAINTEXT).flows, 0);
	cr_expect_eq(share_of("audit_shares", LATCH_AUDIT_SHARE_ALL), 0);
	cr_expect_eq(latch_mode_switch(&maps, true), 0);
	expect_both_ways(&pair);
	cr_expect_eq(audited(LATCH_DROP_PLAINTEXT).flows, 1, "counted anew");
	close_pair(&pair);
}
