/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new SA of a peer that is decided to be unproven: no new flow waits for its owner. What needs a
 * peer gets none. The feeds serve everywhere, and pending-limit is far away.
 *
 *	client --> nft: protocol = ESP --> gate_egress --> lo
 *	                     settings: served;  SA: PENDING, unproven
 */
#include "gate_rules.h"
#include "pending_flow.h"

#include "latchd/maps/latch_control.h"

#define PEER 3

TestSuite(gate_unproven, .init = set_up, .fini = tear_down, .timeout = 60);

static void decide(void)
{
	struct latch_sa_key key = sa_of(&flow);

	cr_assert_eq(sa_set_unproven(&maps, &key, 1), LATCH_CONTROL_DONE);
}

static void set_sa(enum latch_sa_state state, uint16_t params)
{
	struct latch_sa_key key = sa_of(&flow);

	cr_assert_eq(sa_set(&maps, &key, 1, state, params, 0), LATCH_CONTROL_DONE);
}

static void expect_dropped(enum latch_drop why)
{
	uint64_t before = drops_for(why).egress;

	udp_send(pair.client);
	cr_expect_eq(drops_for(why).egress, before + 1);
	cr_expect_eq(drops_in_all().egress, before + 1, "for no other reason");
}

static uint64_t counted(enum latch_counter which)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[which];
}

Test(gate_unproven, a_new_flow_waits_until_the_peer_is_decided_and_begins_at_once_then)
{
	expect_dropped(LATCH_DROP_SA_PENDING);
	cr_expect_not(has_latch(&flow));
	decide();
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_in_all().egress, 1);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_PENDING), 1);
	cr_expect_eq(udp_send(pair.client), 0, "so does its second datagram");
	cr_expect_eq(drops_in_all().egress, 1);
}

Test(gate_unproven, a_flow_without_a_peer_goes_on_under_the_next_sa_once_that_is_decided)
{
	decide();
	cr_expect_eq(udp_send(pair.client), 0);
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	expect_dropped(LATCH_DROP_SA_PENDING);
	decide();
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_in_all().egress, 1);
}

Test(gate_unproven, R_2_4_a_flow_latched_to_a_peer_is_dropped_as_under_any_pending_sa)
{
	put_latch_of(&flow, pair.client);
	expect_dropped(LATCH_DROP_SA_PENDING);
	decide();
	expect_dropped(LATCH_DROP_SA_PENDING);
	expect_dropped(LATCH_DROP_SA_PENDING);
}

/* It began under the SA of a peer, and its latch is not ESTABLISHED yet. */
Test(gate_unproven, R_2_4_a_larval_flow_of_a_known_peer_is_dropped)
{
	set_sa(LATCH_SA_BOUND, PEER);
	set_sa(LATCH_SA_ORPHAN, PEER);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_assert_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	cr_assert_eq(latch_of(&flow).word.params, PEER);
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	decide();
	expect_dropped(LATCH_DROP_SA_PENDING);
}

Test(gate_unproven, R_2_2_a_flow_that_a_rule_requires_a_latch_for_is_refused)
{
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	decide();
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_REQUIRED).egress, 1);
	cr_expect_not(has_latch(&flow));
}

Test(gate_unproven, R_2_2_a_larval_flow_that_a_rule_requires_a_latch_for_is_refused)
{
	decide();
	cr_expect_eq(udp_send(pair.client), 0);
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_REQUIRED).egress, 1);
}

/* Another mark: the entry stands for both. */
Test(gate_unproven, a_new_flow_waits_where_a_second_sa_shares_the_entry)
{
	struct latch_sa_key key = sa_of(&flow);
	struct latch_sa sa;

	decide();
	cr_assert_eq(sa_get(&maps, &key, &sa), 0);
	sa.word.flags |= LATCH_SA_AMBIGUOUS;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_EXIST), 0);
	forget_passes();
	expect_dropped(LATCH_DROP_SA_PENDING);
	cr_expect_not(has_latch(&flow));
}

Test(gate_unproven, a_peer_that_is_proven_later_is_latched_by_the_next_datagram)
{
	decide();
	cr_expect_eq(udp_send(pair.client), 0);
	set_sa(LATCH_SA_BOUND, PEER);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(&flow).word.params, PEER);
}

Test(gate_unproven, an_sa_that_loses_its_peer_is_waited_for_again)
{
	decide();
	set_sa(LATCH_SA_BOUND, PEER);
	set_sa(LATCH_SA_PENDING, 0);
	expect_dropped(LATCH_DROP_SA_PENDING);
	cr_expect_not(has_latch(&flow));
}
