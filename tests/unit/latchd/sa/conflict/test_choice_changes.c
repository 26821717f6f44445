/* SPDX-License-Identifier: BSD-2-Clause */
/* An SPD that changes: policies that come and go, that are replaced in two steps, that stay away.
 */
#include "choice_conflict_fixture.h"

TestSuite(choice_changes, .init = start, .fini = fixture_finish, .timeout = 60);

/* ---- an SPD that changes all the time */

/* Two policies of the peer, of which each dump has another one. */
static void churn(const struct feed_child *child, uint32_t priority)
{
	add_policies(child, priority, 0);
	kernel.churning = 2;
	edited();
}

Test(choice_changes, policies_of_one_peer_that_come_and_go_make_no_others_conflict)
{
	struct feed_child peer = tunnel("e.example", 9, 4, "10.9.0.4/32");

	default_and_branch(100);
	churn(&peer, 50);
	settle_for(2 * A_SECOND_MS);
	expect_both_whole();
	cr_expect_eq(seen.broken, 0);
}

Test(choice_changes, R_2_3_10_an_impostor_whose_policies_come_and_go_is_found)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/16");

	default_and_branch(100);
	churn(&impostor, 50);
	bring_up(&impostor);
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

/* What is in some dumps only rules nothing out: it may be gone. */
Test(choice_changes, R_2_3_10_a_policy_that_comes_and_goes_hides_no_impostor)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "0.0.0.0/0");

	add_policies(&impostor, 100, 0);
	add_policies(&branch, 50, 0);
	kernel.churning = 2;
	edited();
	bring_up(&branch);
	to_branch = latch_inside(1001, 2, &branch);
	bring_up(&impostor);
	until(branch_is_broken);
}

static bool branch_is_not_contested(void)
{
	return !is_contested(&branch);
}

Test(choice_changes, an_spd_that_has_come_to_rest_counts_as_it_is)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/17");

	default_and_branch(100);
	churn(&impostor, 50);
	bring_up(&impostor);
	until(branch_is_broken);
	kernel.churning = 0;
	remove_last_policies();
	until(branch_is_whole);
	until(branch_is_not_contested);
	expect_both_whole();
}

Test(choice_changes, a_rekey_waits_for_no_edit_of_others)
{
	struct feed_child next = tunnel("d.example", 3, 3, "10.2.0.0/16");

	default_and_branch(100);
	kernel.err = -ENOMEM;
	edited();
	bring_up(&next);
	expect_both_whole();
}

Test(choice_changes, R_2_3_8_a_new_child_sa_waits_for_the_spd)
{
	struct feed_child impostor = tunnel("e.example", 3, 3, "10.2.0.0/16");
	struct latch_sa_key in = in_key(&impostor, ns.cookie);
	struct latch_sa sa;

	default_and_branch(100);
	kernel.err = -ENOMEM;
	edited();
	install_end(&in, impostor.remote_host, true, 0, 0);
	up(&charon, &impostor);
	cr_assert_eq(sa_get(&maps, &in, &sa), 0);
	cr_expect_eq(sa.word.state, LATCH_SA_PENDING);
}

/* XFRM_MSG_MIGRATE: no event of an edit, but an SA is made anew. */
Test(choice_changes, R_2_3_10_an_edit_without_an_event_is_found_when_an_sa_is_made)
{
	struct latch_sa_key in = in_key(&hq, ns.cookie);

	default_and_branch(100);
	settle_for(A_SECOND_MS / 2);
	kernel.count -= 2;
	attribution_sa_pending(attribution, &in);
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

/* ---- a policy is gone for a moment */

static void remove_policies_within_grace(unsigned int grace_ms)
{
	attribution_set_policy_grace(attribution, grace_ms);
	default_and_branch(100);
	remove_last_policies();
}

static struct latch_event dropped_of(const struct latch_flow *flow, const struct feed_child *under)
{
	return (struct latch_event){
		.type = LATCH_EVENT_DROP,
		.drop = LATCH_DROP_IDENTITY,
		.flow = *flow,
		.word = latch_of(flow).word,
		.latch_id = latch_of(flow).id,
		.packet = LATCH_DIRECTION_OUT,
		.sa = out_key(under, ns.cookie),
		.time = clock_boot_ns(),
	};
}

Test(choice_changes, a_policy_that_is_replaced_in_two_steps_lets_no_wider_tunnel_break_the_latch)
{
	struct latch_event event;

	remove_policies_within_grace(60 * A_SECOND_MS);
	settle_for(A_SECOND_MS);
	event = dropped_of(&to_branch, &hq);
	attribution_sent_elsewhere(attribution, &event);
	expect_both_whole();
	add_policies(&branch, 100, 0);
	settle_for(A_SECOND_MS);
	expect_both_whole();
	cr_expect_eq(seen.broken, 0);
}

static void send_to_branch_under(const struct feed_child *child)
{
	struct latch_event event = dropped_of(&to_branch, child);

	attribution_sent_elsewhere(attribution, &event);
}

Test(choice_changes, a_packet_that_leaves_right_after_the_policy_is_gone_breaks_no_latch)
{
	remove_policies_within_grace(60 * A_SECOND_MS);
	send_to_branch_under(&hq);
	settle_for(A_SECOND_MS);
	add_policies(&branch, 100, 0);
	send_to_branch_under(&hq);
	settle_for(A_SECOND_MS);
	expect_both_whole();
	cr_expect_eq(seen.broken, 0);
}

Test(choice_changes, a_packet_that_left_while_the_policy_was_gone_breaks_no_latch_after_its_return)
{
	struct latch_event event;

	remove_policies_within_grace(60 * A_SECOND_MS);
	event = dropped_of(&to_branch, &hq);
	add_policies(&branch, 100, 0);
	settle_for(A_SECOND_MS);
	attribution_sent_elsewhere(attribution, &event);
	expect_both_whole();
	cr_expect_eq(seen.broken, 0);
}

static bool next_packet_to_branch_breaks_its_latch(void)
{
	send_to_branch_under(&hq);
	return branch_is_broken();
}

Test(choice_changes, R_2_3_10_a_packet_under_another_peers_sa_breaks_the_latch_in_an_spd_at_rest)
{
	default_and_branch(100);
	send_to_branch_under(&hq);
	cr_expect(branch_is_whole());
	until(next_packet_to_branch_breaks_its_latch);
}

Test(choice_changes, R_2_3_10_a_policy_that_does_not_come_back_lets_the_wider_tunnel_conflict)
{
	remove_policies_within_grace(A_SECOND_MS / 2);
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

Test(choice_changes, R_2_3_10_an_impostor_with_a_policy_of_its_own_has_no_grace)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/17");

	remove_policies_within_grace(60 * A_SECOND_MS);
	settle_for(A_SECOND_MS / 2);
	add_policies(&impostor, 50, 0);
	bring_up(&impostor);
	until(branch_is_broken);
}

Test(choice_changes, R_2_3_10_a_policy_in_the_very_place_of_the_former_one_has_no_grace)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/16");

	attribution_set_policy_grace(attribution, 60 * A_SECOND_MS);
	default_and_branch(100);
	bring_up(&impostor);
	to_branch = latch_inside(1002, 2, &branch);
	kernel.count -= 2;
	add_policies(&impostor, 150, 0);
	until(branch_is_broken);
}

Test(choice_changes, R_2_3_10_the_policy_of_a_third_peer_is_awaited_by_none)
{
	struct feed_child third = tunnel("e.example", 3, 4, "10.2.0.0/17");

	attribution_set_policy_grace(attribution, 60 * A_SECOND_MS);
	default_and_branch(100);
	add_policies(&third, 50, 0);
	settle_for(A_SECOND_MS / 2);
	kernel.count -= 2;
	edited();
	settle_for(A_SECOND_MS / 2);
	kernel.count -= 2;
	add_policies(&branch, 300, 0);
	until(branch_is_broken);
}

/* ---- several interface ids of one peer */

Test(choice_changes, a_second_interface_id_of_a_peer_counts_until_its_sa_is_gone)
{
	struct feed_child extra = tunnel("c.example", 7, 2, "10.7.0.0/16");

	hq.if_id_in = hq.if_id_out = 41;
	extra.if_id_in = extra.if_id_out = 43;
	kernel.devices[2] = 43;
	two_tunnels(41, 42);
	bring_up(&extra);
	down(&charon, &extra);
	delete_both(&extra);
	attribution_reconcile(attribution);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	down(&charon, &hq);
	delete_both(&hq);
	attribution_reconcile(attribution);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

Test(choice_changes, R_2_3_10_where_a_peer_has_several_interface_ids_none_separates)
{
	struct feed_child extra = tunnel("c.example", 7, 2, "10.7.0.0/16");

	extra.if_id_in = extra.if_id_out = 43;
	kernel.devices[2] = 43;
	two_tunnels(41, 42);
	bring_up(&extra);
	down(&charon, &hq);
	delete_both(&hq);
	attribution_reconcile(attribution);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_BROKEN);
}
