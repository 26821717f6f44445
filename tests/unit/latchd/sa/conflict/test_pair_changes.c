/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions over the first packets under contested SAs: after a change they stay, or end. Networks
 * as in test_pair_decisions.c.
 */
#include "pair_fixture.h"

#include "latchd/sa/child/sa_group_pairs.h"

TestSuite(pair_changes, .init = start, .fini = fixture_finish, .timeout = 120);

/* All work counts together, however slow the machine is. */
#define A_MINUTE_MS 60000

static int decisions_at_bind;

static void count_at_bind(const struct latch_sa_key *key)
{
	(void)key;
	decisions_at_bind += decisions();
}

Test(pair_changes, R_2_3_8_no_decision_is_left_when_an_sa_of_another_peer_is_bound)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.1.0.0/16");

	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	add_policies(&impostor, 100, 0);
	seen.on_bound = count_at_bind;
	decisions_at_bind = 0;
	bring_up(&impostor);
	cr_expect_eq(decisions_at_bind, 0);
	cr_expect_eq(decisions(), 0);
	cr_expect(is_refused(&hq, 1));
}

Test(pair_changes, R_2_3_8_an_edit_of_the_spd_ends_the_decisions_that_it_concerns)
{
	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect(is_refused(&hq, 2));
	remove_last_policies();
	settle_for(A_SECOND_MS);
	cr_expect_eq(decision_of(&hq, 2), -1);
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}

/* choice_is_stale(): the event of the edit has come, and latchd has not read the SPD since. */
Test(pair_changes, R_2_3_8_a_decision_is_made_by_the_spd_of_the_moment)
{
	default_and_branch(200);
	remove_last_policies();
	add_policies(&branch, 100, 0);
	cr_expect_not(is_refused(&branch, 2), "the branch's policy comes first now");
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
}

Test(pair_changes, a_rekey_leaves_the_decisions)
{
	struct feed_child next = tunnel("c.example", 5, 2, "0.0.0.0/0");

	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	bring_up(&next);
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}

/* A hub has hundreds of clients that come and go, and an impostor may bring up CHILD_SAs all the
 * time: connections to other addresses must not wait each time. */
Test(pair_changes, R_2_15_a_change_elsewhere_leaves_the_decisions)
{
	struct feed_child client = tunnel("e.example", 3, 4, "10.77.0.0/16");

	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_not(is_refused(&hq, 77));
	add_policies(&client, 200, 0);
	bring_up(&client);
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
	cr_expect_eq(decision_of(&hq, 77), -1);
	cr_expect(is_refused(&hq, 77));
	remove_last_policies();
	settle_for(A_SECOND_MS);
	delete_both(&client);
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
	cr_expect_eq(decision_of(&hq, 77), -1);
}

Test(pair_changes, R_2_15_a_change_on_both_sides_of_an_address_leaves_its_decision)
{
	struct feed_child around = tunnel("e.example", 3, 4, "10.1.0.0/24");

	traffic_selector_set_add(&around.remote_ts, "10.3.0.0/24", 11);
	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2));
	cr_expect_not(is_refused(&hq, 3));
	bring_up(&around);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	cr_expect_eq(decision_of(&hq, 3), LATCH_PAIR_ALONE, "it has no policy");
	add_policies(&around, 100, 0);
	settle_for(A_SECOND_MS);
	cr_expect_eq(decision_of(&hq, 3), LATCH_PAIR_ALONE, "its policy is for 10.1.0.0/24");
	delete_both(&around);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	cr_expect_eq(decision_of(&hq, 3), LATCH_PAIR_ALONE);
}

/* Such a peer brings up its CHILD_SA each moment, or edits its policy by that. */
Test(pair_changes, R_2_15_a_peer_with_all_addresses_ends_no_decision_where_it_is_no_rival)
{
	struct feed_child wide = tunnel("e.example", 3, 4, "0.0.0.0/0");

	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2));
	cr_expect(is_refused(&hq, 2));
	bring_up(&wide);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	cr_expect_eq(decision_of(&hq, 2), LATCH_PAIR_CONTESTED);
	delete_both(&hq);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	bring_up(&hq);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	add_policies(&wide, 300, 0);
	settle_for(A_SECOND_MS);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	remove_last_policies();
	settle_for(A_SECOND_MS);
	delete_both(&wide);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
}

/* The branch's policy no longer comes first. */
Test(pair_changes, R_2_3_8_a_peer_with_all_addresses_ends_the_decisions_where_it_is_a_rival)
{
	struct feed_child wide = tunnel("e.example", 3, 4, "0.0.0.0/0");

	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2));
	add_policies(&wide, 50, 0);
	seen.on_bound = count_at_bind;
	decisions_at_bind = 0;
	bring_up(&wide);
	cr_expect_eq(decisions_at_bind, 0);
	cr_expect_eq(decision_of(&branch, 2), -1);
	cr_expect(is_refused(&branch, 2));
}

Test(pair_changes, R_2_3_8_while_the_spd_cannot_be_read_again_a_change_ends_decisions)
{
	struct latch_pair pair = {.netns = ns.cookie, .family = AF_INET};
	struct sa_groups_alone alone = {.pair = &pair, .scope = SA_GROUPS_SCOPE_ALL};
	const struct latch_flow flow = flow_inside(2);
	struct sa_groups *groups = &attribution->child_sas.groups;

	default_and_branch(100);
	pair.params = in_params(&branch);
	memcpy(pair.local_addr, flow.local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow.remote_addr, sizeof(pair.remote_addr));
	settle_for(A_SECOND_MS);
	cr_expect(sa_groups_leave_alone(groups, &alone, SA_GROUP_PAIRS_WORK));
	cr_expect_not(sa_groups_leave_alone(groups, &alone, 1), "too much work");
	kernel.err = -EAGAIN;
	edited();
	choice_refresh(attribution->choice, ns.cookie);
	cr_expect_not(sa_groups_leave_alone(groups, &alone, SA_GROUP_PAIRS_WORK));
}

static uint16_t peer_of(const struct feed_child *child)
{
	struct latch_sa_key key = in_key(child, ns.cookie);

	return child_sas_find(&attribution->child_sas, &key)->child->peer;
}

Test(pair_changes, decisions_of_a_peer_that_cost_much_work_leave_some_for_those_of_others)
{
	struct pair_decisions *pairs = &attribution->pairs;
	struct feed_child wide = tunnel("e.example", 3, 4, "0.0.0.0/1");

	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2));
	cr_expect_not(is_refused(&hq, 1));
	pairs->work_ms = loop_now_ms() + A_MINUTE_MS;
	pairs->work_of_peer[peer_of(&hq)] = PAIR_DECISIONS_WORK_PEER;
	bring_up(&wide);
	cr_expect_eq(decision_of(&hq, 1), -1);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
}

/* Any other answer: the peer has as many CHILD_SAs as it likes. */
#define MANY 460
#define BUSY 90 /* decisions */

static struct feed_child one_of_many(unsigned int number)
{
	char selector[32];

	snprintf(selector, sizeof(selector), "0.0.0.0/0[tcp/%u]", number + 1);
	return tunnel("e.example", 0x100 + number, 4, selector);
}

static void bring_up_many(unsigned int first, unsigned int end)
{
	struct feed_child child;

	for (; first < end; first++) {
		child = one_of_many(first);
		bring_up(&child);
	}
}

Test(pair_changes, R_2_15_a_peer_with_hundreds_of_child_sas_ends_no_decision_where_it_is_no_rival)
{
	struct feed_child wide = tunnel("e.example", 3, 4, "0.0.0.0/0");

	default_and_branch(100);
	bring_up_many(0, MANY);
	cr_expect_not(is_refused(&branch, 2));
	bring_up_many(MANY, MANY + 1);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	add_policies(&wide, 300, 0);
	settle_for(A_SECOND_MS);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE, "nor by a policy");
	remove_last_policies();
	add_policies(&wide, 50, 0);
	settle_for(A_SECOND_MS);
	cr_expect_eq(decision_of(&branch, 2), -1, "this one comes first");
}

static struct latch_flow flow_to_host(uint8_t host)
{
	struct latch_flow flow = flow_inside(2);

	flow.remote_addr[2] = host;
	return flow;
}

/* One CREATE_CHILD_SA is an edit of the SPD and then a group, in one turn. */
Test(pair_changes, R_2_15_changes_in_one_turn_leave_all_decisions_of_a_busy_peer)
{
	struct feed_child last = one_of_many(100);
	struct latch_flow flow;
	uint8_t i;

	default_and_branch(100);
	bring_up_many(0, 100);
	for (i = 0; i < BUSY; i++) {
		flow = flow_to_host(i);
		cr_assert_not(is_refused_now(&branch, &flow));
	}
	attribution->pairs.work_ms = loop_now_ms() + A_MINUTE_MS;
	attribution->pairs.work = 0;
	memset(attribution->pairs.work_of_peer, 0, sizeof(attribution->pairs.work_of_peer));
	add_policies(&last, 300, 0);
	bring_up(&last);
	for (i = 0; i < BUSY; i++) {
		flow = flow_to_host(i);
		cr_expect_eq(decision_between(&flow, in_params(&branch)), LATCH_PAIR_ALONE);
	}
}

/* The new CHILD_SA has the selectors of the branch, and no policy. */
Test(pair_changes, R_2_3_8_a_new_group_with_equal_selectors_ends_the_decisions_of_the_other)
{
	struct feed_child like = tunnel("e.example", 3, 4, "10.2.0.0/16");

	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2));
	bring_up(&like);
	cr_expect_eq(decision_of(&branch, 2), -1);
}

static void change_by_wide(struct feed_child *wide, uint64_t work, uint32_t of_peer, bool old)
{
	struct pair_decisions *pairs = &attribution->pairs;

	*wide = tunnel("e.example", 3, 4, "0.0.0.0/1");
	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2));
	pairs->work_ms = loop_now_ms() + A_MINUTE_MS;
	pairs->work = work;
	pairs->work_of_peer[peer_of(&branch)] = of_peer;
	if (old)
		pairs->kept[0].made_ms -= PAIR_DECISIONS_YOUNG_MS;
	bring_up(wide);
}

Test(pair_changes, decisions_of_long_ago_leave_half_of_the_work_to_young_ones)
{
	struct feed_child wide;

	change_by_wide(&wide, PAIR_DECISIONS_WORK / 2, PAIR_DECISIONS_WORK_PEER / 2, true);
	cr_expect_eq(decision_of(&branch, 2), -1);
	cr_expect_not(is_refused(&branch, 2));
	delete_both(&wide);
	attribution->pairs.work = PAIR_DECISIONS_WORK / 2;
	bring_up(&wide);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
}

Test(pair_changes, peers_that_take_all_work_leave_some_to_the_young_decisions_of_each_other_peer)
{
	struct feed_child wide;

	change_by_wide(&wide, PAIR_DECISIONS_WORK, 0, false);
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
}

Test(pair_changes, the_end_of_an_overlap_ends_the_refusal)
{
	default_and_branch(200);
	cr_expect(is_refused(&hq, 2));
	remove_last_policies();
	delete_both(&branch);
	cr_expect_eq(decision_of(&hq, 2), -1);
	cr_expect_not(is_refused(&hq, 2));
	cr_expect_eq(decision_of(&hq, 2), LATCH_PAIR_ALONE);
}

/* Interface ids then tell none of the peer's SAs apart from another peer's, wherever the second
 * tunnel leads. */
Test(pair_changes, R_2_3_8_a_second_interface_id_ends_all_decisions_for_the_peer)
{
	struct feed_child second = tunnel("c.example", 9, 2, "10.44.0.0/16");

	two_tunnels(41, 42);
	kernel.devices[2] = second.if_id_in = second.if_id_out = 43;
	kernel.devices_count = 3;
	edited();
	settle_for(A_SECOND_MS);
	cr_expect_not(is_refused(&hq, 1));
	bring_up(&second);
	cr_expect_eq(decision_of(&hq, 1), -1);
	cr_expect(is_refused(&hq, 1));
	delete_both(&second);
	cr_expect_eq(decision_of(&hq, 1), -1);
	cr_expect_not(is_refused(&hq, 1));
}

Test(pair_changes, R_2_3_8_a_device_that_goes_ends_all_decisions)
{
	two_tunnels(41, 42);
	cr_expect_not(is_refused(&hq, 1));
	kernel.devices_count = 1;
	edited();
	settle_for(A_SECOND_MS);
	cr_expect_eq(decisions(), 0);
	cr_expect(is_refused(&hq, 1));
}
