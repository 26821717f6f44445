/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel could do decides which latches break and which SAs are contested. */
#include "choice_conflict_fixture.h"

TestSuite(choice_conflict, .init = start, .fini = fixture_finish, .timeout = 60);

Test(choice_conflict, a_default_route_and_a_branch_are_distinguished_by_the_order_of_policies)
{
	default_and_branch(100);
	expect_both_whole();
	settle();
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_policies_of_equal_priority_tell_no_sas_apart)
{
	default_and_branch(200);
	expect_contested();
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

Test(choice_conflict, R_2_3_10_an_impostor_at_the_same_address_under_the_same_policy_conflicts)
{
	struct feed_child impostor = tunnel("d.example", 3, 2, "0.0.0.0/0");

	default_and_branch(100);
	bring_up(&impostor);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&hq));
	cr_expect(is_contested(&impostor));
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_ESTABLISHED);
}

/* The SPD has only the policy of the newest. */
Test(choice_conflict, R_2_3_8_two_gateways_with_equal_selectors_are_contested)
{
	struct feed_child other = tunnel("d.example", 3, 3, "0.0.0.0/0");

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	remove_last_policies();
	add_policies(&other, 200, 0);
	bring_up(&other);
	cr_expect(is_contested(&hq));
	cr_expect(is_contested(&other));
}

Test(choice_conflict, R_2_3_10_a_narrower_policy_of_an_impostor_breaks_the_latches_within)
{
	add_policies(&hq, 200, 0);
	bring_up(&hq);
	to_hq = latch_inside(1000, 1, &hq);
	to_branch = latch_inside(1001, 2, &hq);
	add_policies(&branch, 100, 0);
	bring_up(&branch);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
	cr_expect_eq(seen.got, in_params(&branch));
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

Test(choice_conflict, R_2_3_10_an_impostor_within_an_overlap_of_two_honest_peers_conflicts)
{
	struct feed_child impostor = tunnel("e.example", 3, 3, "10.2.0.0/16");

	default_and_branch(100);
	bring_up(&impostor);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&branch));
	cr_expect(is_contested(&impostor));
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&hq));
}

Test(choice_conflict, R_2_3_10_an_edit_that_gives_the_flow_to_the_other_peer_breaks_the_latch)
{
	default_and_branch(100);
	remove_last_policies();
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	add_policies(&branch, 100, 0);
	until(branch_is_whole);
	expect_both_whole();
}

static bool hq_is_contested(void)
{
	return is_contested(&hq);
}

Test(choice_conflict, R_2_3_8_an_unreadable_spd_tells_no_sas_apart)
{
	default_and_branch(100);
	kernel.err = -ENOMEM;
	edited();
	until(hq_is_contested);
	expect_contested();
	until(branch_is_broken);
}

Test(choice_conflict, R_2_3_8_sas_are_contested_where_no_spd_was_read)
{
	kernel.err = -EACCES;
	default_and_branch(100);
	expect_contested();
}

Test(choice_conflict, a_rekey_looks_at_no_spd_again)
{
	struct feed_child next = tunnel("d.example", 3, 3, "10.2.0.0/16");
	unsigned int loads;

	default_and_branch(100);
	kernel.edited_ns = 0;
	settle();
	loads = kernel.loads;
	bring_up(&next);
	cr_expect_leq(kernel.loads, loads + 1);
	expect_both_whole();
}

Test(choice_conflict, a_contested_sa_names_the_other_peers_sa_and_the_traffic_of_both)
{
	struct latch_sa_key in = in_key(&hq, ns.cookie), out = out_key(&branch, ns.cookie);
	struct news_rival rival;

	default_and_branch(200);
	cr_assert(attribution_rival(attribution, &in, &rival));
	cr_expect_eq(rival.params, in_params(&hq));
	cr_expect_eq(rival.rival_params, in_params(&branch));
	cr_expect_eq(rival.rival_spi, 2);
	cr_expect_str_eq(rival.local, "10.8.0.1");
	cr_expect_str_eq(rival.remote, "10.2.0.0/16");
	cr_assert(attribution_rival(attribution, &out, &rival));
	cr_expect_eq(rival.rival_spi, 1);
}

Test(choice_conflict, an_sa_that_none_contests_names_none)
{
	struct latch_sa_key in = in_key(&hq, ns.cookie);
	struct news_rival rival;

	default_and_branch(100);
	cr_expect_not(attribution_rival(attribution, &in, &rival));
}

/* ---- interface ids */

Test(choice_conflict, two_tunnels_are_distinguished_by_their_interface_ids)
{
	two_tunnels(41, 42);
	expect_both_whole();
}

Test(choice_conflict, two_tunnels_are_distinguished_while_the_spd_is_flushed)
{
	two_tunnels(41, 42);
	kernel.count = 0;
	edited();
	settle_for(A_SECOND_MS);
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_a_device_that_disappears_while_the_spd_is_flushed_separates_no_sas)
{
	two_tunnels(41, 42);
	kernel.count = 0;
	edited();
	settle_for(A_SECOND_MS);
	kernel.devices_count = 1;
	until(branch_is_broken);
}

Test(choice_conflict, R_2_3_8_an_interface_id_and_none_tell_no_sas_apart)
{
	two_tunnels(0, 42);
	expect_contested();
}

static bool is_contested_now(void)
{
	return is_contested(&branch);
}

Test(choice_conflict, R_2_3_8_a_device_that_disappears_makes_its_sas_conflict_again)
{
	two_tunnels(41, 42);
	kernel.devices_count = 1;
	until(is_contested_now);
	expect_contested();
	until(branch_is_broken);
	kernel.devices_count = 2;
	until(branch_is_whole);
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_a_marked_sa_conflicts_whatever_the_policies_say)
{
	add_policies(&hq, 200, 0);
	add_policies(&branch, 300, 0);
	bring_up(&hq);
	to_branch = latch_inside(1001, 2, &hq);
	bring_up_marked(&branch, 5);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
}

Test(choice_conflict, a_tunnel_that_is_down_for_a_while_keeps_its_latches)
{
	two_tunnels(41, 42);
	down(&charon, &hq);
	delete_both(&hq);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

/* ---- a route changes: no event but a dropped packet */

static struct latch_event dropped(const struct feed_child *under, enum latch_direction packet)
{
	struct latch_event event = {
		.type = LATCH_EVENT_DROP,
		.drop = LATCH_DROP_IDENTITY,
		.flow = to_hq,
		.latch_id = latch_of(&to_hq).id,
		.packet = packet,
	};

	event.sa = packet == LATCH_DIRECTION_OUT ? out_key(under, ns.cookie)
						 : in_key(under, ns.cookie);
	event.time = clock_boot_ns();
	return event;
}

/* The first one may leave too soon after an edit of the SPD. */
static bool next_packet_under_branch_breaks_the_latch(void)
{
	struct latch_event event = dropped(&branch, LATCH_DIRECTION_OUT);

	attribution_sent_elsewhere(attribution, &event);
	return latch_state_of(&to_hq) == LATCH_STATE_BROKEN;
}

Test(choice_conflict, R_2_3_10_a_packet_that_left_under_another_peers_sa_breaks_the_latch)
{
	two_tunnels(41, 42);
	until(next_packet_under_branch_breaks_the_latch);
	cr_expect_eq(seen.got, in_params(&branch));
}

Test(choice_conflict, a_packet_that_arrived_under_another_peers_sa_breaks_no_latch)
{
	struct latch_event event;

	two_tunnels(41, 42);
	edited();
	settle_for(A_SECOND_MS);
	event = dropped(&branch, LATCH_DIRECTION_IN);
	attribution_sent_elsewhere(attribution, &event);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	event.drop = LATCH_DROP_SA_PENDING;
	attribution_sent_elsewhere(attribution, &event);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	event.time = 1; /* the SA under this key is a later one */
	attribution_sent_elsewhere(attribution, &event);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	event.latch_id++;
	attribution_sent_elsewhere(attribution, &event);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}
