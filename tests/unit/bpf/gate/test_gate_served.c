/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a new flow waits for the owner of its SA. It waits in the namespaces of the feeds, and
 * until each feed was seen in all of the host's.
 *
 *	client --> nft: protocol = ESP --> gate_egress --> lo
 *	                     settings: served, all_feeds_seen
 */
#include "gate_rules.h"
#include "pending_flow.h"

#include "latchd/enforce/served.h"

#define ELSEWHERE 0x7777

TestSuite(gate_served, .init = set_up, .fini = tear_down, .timeout = 60);

static void serve(uint64_t one, uint64_t other)
{
	const uint64_t netns[] = {one, other};

	cr_assert_eq(served_write(&maps, netns, 2), 0);
}

static uint64_t counted(enum latch_counter which)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[which];
}

static void expect_waits(void)
{
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, 1);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_UNSERVED), 0);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_FOREIGN), 0);
}

Test(gate_served, a_new_flow_waits_where_a_feed_serves)
{
	serve(ELSEWHERE, flow.netns);
	expect_waits();
}

Test(gate_served, a_new_flow_waits_everywhere_until_each_feed_was_seen)
{
	serve(ELSEWHERE, 0);
	expect_waits();
}

Test(gate_served, a_new_flow_waits_before_latchd_has_written_anything)
{
	expect_waits();
}

/* Only its latch is LARVAL: it goes on under no SA of another owner, and never in clear. */
Test(gate_served, a_new_flow_does_not_wait_where_no_feed_serves_and_is_counted)
{
	serve(ELSEWHERE, ELSEWHERE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_in_all().egress, 0);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_UNSERVED), 1);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_FOREIGN), 0);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_PENDING), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	cr_expect_eq(udp_send(pair.client), 0, "nor does its second datagram");
	cr_expect_eq(drops_in_all().egress, 0);
}

Test(gate_served, R_2_2_require_holds_where_no_feed_serves)
{
	serve(ELSEWHERE, ELSEWHERE);
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_REQUIRED).egress, 1);
	cr_expect_not(has_latch(&flow));
}

Test(gate_served, R_2_4_a_latched_flow_does_not_use_a_pending_sa_where_no_feed_serves)
{
	serve(ELSEWHERE, ELSEWHERE);
	put_latch_of(&flow, pair.client);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, 1);
}

static void put_flag(__u8 flags)
{
	struct latch_sa_key key = {
		.netns = flow.netns,
		.spi = (uint32_t)flow.local_port << 16 | flow.remote_port,
		.protocol = IPPROTO_ESP,
		.family = flow.family,
	};
	struct latch_sa sa;

	memcpy(key.daddr, flow.remote_addr, sizeof(key.daddr));
	cr_assert_eq(bpf_map_lookup_elem(maps.sas, &key, &sa), 0);
	sa.word.flags |= flags;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	forget_passes();
}

/* Any local user makes user namespaces: a feed serves there when it was seen there. */
Test(gate_served, a_namespace_of_another_user_namespace_waits_only_where_a_feed_was_seen)
{
	put_flag(LATCH_SA_FOREIGN);
	serve(ELSEWHERE, 0);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_FOREIGN), 1);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_UNSERVED), 0);
}

Test(gate_served, an_earlier_latchds_namespaces_count_until_each_feed_was_seen)
{
	put_flag(LATCH_SA_FOREIGN);
	serve(ELSEWHERE, flow.netns);
	serve(ELSEWHERE, 0);
	expect_waits();
	serve(ELSEWHERE, ELSEWHERE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_FOREIGN), 1);
}

/* Of two feeds, a later configuration names the other one first. */
Test(gate_served, an_earlier_latchds_namespaces_count_in_any_order_of_the_feeds)
{
	put_flag(LATCH_SA_FOREIGN);
	serve(flow.netns, ELSEWHERE);
	serve(ELSEWHERE, 0);
	expect_waits();
}

/* Its charon comes back in a new namespace as often as it likes. */
Test(gate_served, a_feed_that_moves_is_waited_for_though_another_one_never_comes)
{
	uint64_t i;

	put_flag(LATCH_SA_FOREIGN);
	for (i = 0; i < 2 * LATCH_FEEDS_MAX; i++)
		serve(ELSEWHERE + i, 0);
	serve(flow.netns, 0);
	serve(flow.netns, 0);
	expect_waits();
}

/* A container's charon that restarts may come back in another namespace. */
Test(gate_served, a_new_flow_waits_everywhere_while_a_feed_is_away)
{
	serve(ELSEWHERE, ELSEWHERE);
	serve(ELSEWHERE, 0);
	expect_waits();
}

Test(gate_served, a_new_flow_waits_everywhere_after_the_end_of_latchd)
{
	serve(ELSEWHERE, ELSEWHERE);
	cr_assert_eq(served_write(&maps, NULL, 0), 0);
	expect_waits();
}

Test(gate_served, the_end_of_latchd_does_not_make_other_user_namespaces_wait)
{
	put_flag(LATCH_SA_FOREIGN);
	serve(ELSEWHERE, ELSEWHERE);
	cr_assert_eq(served_write(&maps, NULL, 0), 0);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_FOREIGN), 1);
}
