/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Marks of audit mode: a flow that began where enforcement refuses it is refused when enforcement
 * begins. Marks have bounds and shares.
 *
 *	        test's cgroup: gate_egress, gate_ingress, watch_socket
 *	+------------------------------------------------------------------+
 *	| client <---- in clear, under latch or rule ----> server          |
 *	+------------------------------------------------------------------+
 *	   settings.mode ----> verdict ----> audits, latches, no drops
 */
#include "audit_fixture.h"

TestSuite(audit_marks, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

/* ---- flows that enforcement refuses */

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

Test(audit_marks, a_connection_that_enforcement_refuses_passes_and_is_blocked_when_it_begins)
{
	check_refused(LATCH_DIRECTION_OUT);
}

Test(audit_marks, an_accepted_connection_that_enforcement_refuses_is_blocked_when_it_begins)
{
	check_refused(LATCH_DIRECTION_IN);
}

Test(audit_marks, a_connection_that_enforcement_allows_has_no_mark_and_continues)
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
Test(audit_marks, a_connection_older_than_its_rule_passes_in_audit_mode_and_is_blocked_when_it_ends)
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
Test(audit_marks, a_syn_that_enforcement_allows_replaces_the_mark_of_a_forged_one)
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

Test(audit_marks, a_forged_crossing_syn_leaves_no_mark_on_an_honest_connect)
{
	check_crossing(0, true);
}

Test(audit_marks, a_conflict_makes_the_mark_of_a_forged_syn_not_final)
{
	check_crossing(LATCH_REASON_SA_CONFLICT, true);
}

Test(audit_marks, a_mark_that_an_administrator_has_broken_stays)
{
	check_crossing(LATCH_REASON_ADMIN, false);
}

/* A flood of forged SYNs is no flood of events, and takes no more than one mark for each flow. */
Test(audit_marks, a_syn_that_is_refused_again_keeps_its_mark_without_an_event)
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

/* latchd has decided that another peer's SA could carry it, too. */
static void decide_against(const struct latch_flow *flow)
{
	struct latch_pair pair = {.netns = flow->netns, .params = 8, .family = flow->family};
	uint32_t decision = LATCH_PAIR_CONTESTED;

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	cr_assert_eq(bpf_map_update_elem(maps.pairs, &pair, &decision, BPF_ANY), 0);
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
	if (why == LATCH_DROP_CONFLICT)
		decide_against(&flow);
	send_byte(pair.client);
	if (why != LATCH_DROP_COUNT)
		wait_for(drops_for(why).egress);
	expect_no_other_drop(why);
	close_pair(&pair);
}

Test(audit_marks, a_connection_of_the_audit_without_a_mark_is_refused_under_a_contested_sa)
{
	check_unmarked(LATCH_SA_CONTESTED, true, LATCH_DROP_CONFLICT);
}

Test(audit_marks,
     a_connection_of_the_audit_without_a_mark_waits_for_a_decision_under_a_contested_sa)
{
	check_unmarked(LATCH_SA_CONTESTED, true, LATCH_DROP_CONTESTED);
}

Test(audit_marks, a_connection_of_the_audit_without_a_mark_continues_where_enforcement_allows_it)
{
	check_unmarked(0, true, LATCH_DROP_COUNT);
}

Test(audit_marks, a_connection_from_before_the_audit_continues_under_a_contested_sa)
{
	check_unmarked(LATCH_SA_CONTESTED, false, LATCH_DROP_COUNT);
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

Test(audit_marks, marks_have_a_share_of_the_table_and_give_it_back)
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

Test(audit_marks, flows_from_outside_take_no_mark_from_what_this_host_opens)
{
	struct latch_flow flow, accepted;
	struct pair pair;

	attach_all();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	begin_audit();
	set_share("mark_shares", 0, 3 * latches_capacity(&maps) / 16);
	pair = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	accepted = flow_of(pair.server);
	cr_expect(has_latch(&flow));
	cr_expect_not(has_latch(&accepted));
	close_pair(&pair);
}

/* The map of the shares was lost, and the marks were not. */
Test(audit_marks, a_mark_that_is_not_counted_widens_no_share)
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

Test(audit_marks, flows_without_a_mark_are_counted_from_the_switch_on)
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

Test(audit_marks, a_rule_beyond_its_share_of_the_audit_table_counts_in_one_row_of_others)
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

Test(audit_marks, a_new_audit_begins_with_an_empty_table)
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
