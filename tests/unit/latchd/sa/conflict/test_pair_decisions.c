/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions over the first packets under contested SAs. Headquarters has 0.0.0.0/0 and the branch
 * 10.2.0.0/16, of equal priority: the kernel cannot tell them apart within 10.2.0.0/16. Both SAs
 * are marked as contested, and connections to all other addresses begin all the same.
 */
#include "choice_conflict_fixture.h"

#include "latchd/sa/conflict/pair_decisions.h"

TestSuite(pair_decisions, .init = start, .fini = fixture_finish, .timeout = 120);

static struct latch_flow flow_inside(uint8_t network)
{
	struct latch_flow flow = flow_at(2000, ns.cookie);

	memcpy(flow.local_addr, (uint8_t[]){10, 8, 0, 1}, 4);
	memcpy(flow.remote_addr, (uint8_t[]){10, network, 0, 1}, 4);
	return flow;
}

/* The gate has dropped the first packet of such a flow, which left under the SA. */
static bool is_refused(const struct feed_child *under, uint8_t network)
{
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.drop = LATCH_DROP_CONTESTED,
		.flow = flow_inside(network),
		.packet = LATCH_DIRECTION_OUT,
		.sa = out_key(under, ns.cookie),
		.time = clock_boot_ns(),
	};

	return attribution_refuses(attribution, &event);
}

/* -1: the programs find no decision. */
static int decision_of(uint8_t network)
{
	struct latch_flow flow = flow_inside(network);
	struct latch_pair pair = {.netns = flow.netns, .family = flow.family};
	uint32_t only;

	memcpy(pair.local_addr, flow.local_addr, 16);
	memcpy(pair.remote_addr, flow.remote_addr, 16);
	return bpf_map_lookup_elem(maps.pairs, &pair, &only) ? -1 : (int)only;
}

static int decisions(void)
{
	struct latch_pair pair, *last = NULL;
	int count = 0;

	for (; !bpf_map_get_next_key(maps.pairs, last, &pair); last = &pair)
		count++;
	return count;
}

Test(pair_decisions, R_2_3_8_outside_an_overlap_a_contested_sa_starts_connections)
{
	default_and_branch(200);
	expect_contested();
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(1), in_params(&hq));
}

Test(pair_decisions, R_2_3_8_inside_an_overlap_neither_sa_starts_one)
{
	default_and_branch(200);
	cr_expect(is_refused(&hq, 2));
	cr_expect_eq(decision_of(2), LATCH_PAIR_CONTESTED);
	cr_expect(is_refused(&branch, 2));
	cr_expect_eq(decision_of(2), LATCH_PAIR_CONTESTED);
}

/* The SPD has the policy of the newest alone, and would give all to its peer. */
Test(pair_decisions, R_2_3_8_equal_selectors_of_two_gateways_start_none)
{
	struct feed_child other = tunnel("d.example", 3, 3, "0.0.0.0/0");

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	remove_last_policies();
	add_policies(&other, 200, 0);
	bring_up(&other);
	settle_for(A_SECOND_MS);
	cr_expect(is_refused(&hq, 1));
	cr_expect(is_refused(&other, 1));
}

Test(pair_decisions, R_2_3_8_an_impostor_at_the_address_of_the_peer_starts_none)
{
	struct feed_child impostor = tunnel("d.example", 3, 2, "0.0.0.0/0");

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	bring_up(&impostor);
	cr_expect(is_refused(&hq, 1));
	cr_expect(is_refused(&impostor, 1));
}

Test(pair_decisions, R_2_3_8_without_a_readable_spd_there_is_none)
{
	kernel.err = -EACCES;
	default_and_branch(200);
	cr_expect(is_refused(&hq, 2));
	cr_expect_neq(decision_of(2), in_params(&hq));
}

/* Its SAs could be rivals of all others. */
Test(pair_decisions, R_2_3_8_while_a_key_manager_has_not_listed_its_sas_none_starts)
{
	default_and_branch(200);
	attach(&pluto, &ns);
	cr_expect(is_refused(&hq, 1));
	cr_expect_eq(decisions(), 0);
}

Test(pair_decisions, an_sa_that_has_gone_refuses_no_connection)
{
	struct feed_child gone = tunnel("d.example", 77, 3, "10.2.0.0/16");

	default_and_branch(200);
	cr_expect_not(is_refused(&gone, 2));
	cr_expect_eq(decisions(), 0);
}

Test(pair_decisions, R_2_3_8_a_contested_sa_that_no_key_manager_has_reported_starts_none)
{
	struct feed_child by_hand = tunnel("d.example", 77, 3, "10.2.0.0/16");
	struct latch_sa_key key = out_key(&by_hand, ns.cookie);
	struct latch_sa sa = {
		.word = {.serial = 1,
			 .params = 1,
			 .state = LATCH_SA_BOUND,
			 .flags = LATCH_SA_CONTESTED},
	};

	default_and_branch(200);
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	cr_expect(is_refused(&by_hand, 2));
	cr_expect_eq(decisions(), 0);
	sa.word.flags = 0;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	cr_expect_not(is_refused(&by_hand, 2));
}

/* ---- interface ids */

Test(pair_decisions, a_rival_behind_another_device_contests_no_flow)
{
	two_tunnels(41, 42);
	cr_expect_not(is_refused(&hq, 1));
}

/* One decision is for all SAs of a peer, whatever their ids. */
Test(pair_decisions, R_2_3_8_a_peer_with_two_interface_ids_has_no_device_of_its_own)
{
	struct feed_child second = tunnel("c.example", 9, 2, "10.44.0.0/16");

	two_tunnels(41, 42);
	kernel.devices[2] = second.if_id_in = second.if_id_out = 43;
	kernel.devices_count = 3;
	add_policies(&second, 200, 43);
	bring_up(&second);
	cr_expect(is_refused(&hq, 1));
}

/* ---- the end of a decision */

static int decisions_at_bind;

static void count_at_bind(const struct latch_sa_key *key)
{
	(void)key;
	decisions_at_bind += decisions();
}

Test(pair_decisions, R_2_3_8_no_decision_is_left_when_an_sa_of_another_peer_is_bound)
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

Test(pair_decisions, R_2_3_8_an_edit_of_the_spd_ends_all_decisions)
{
	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect(is_refused(&hq, 2));
	remove_last_policies();
	settle_for(A_SECOND_MS);
	cr_expect_eq(decisions(), 0);
}

/* choice_is_stale(): the event of the edit has come, and latchd has not read the SPD since. */
Test(pair_decisions, R_2_3_8_a_decision_is_made_by_the_spd_of_the_moment)
{
	default_and_branch(200);
	remove_last_policies();
	add_policies(&branch, 100, 0);
	cr_expect_not(is_refused(&branch, 2), "the branch's policy comes first now");
	cr_expect_eq(decision_of(2), in_params(&branch));
}

Test(pair_decisions, a_rekey_leaves_the_decisions)
{
	struct feed_child next = tunnel("c.example", 5, 2, "0.0.0.0/0");

	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	bring_up(&next);
	cr_expect_eq(decision_of(1), in_params(&hq));
}

Test(pair_decisions, R_2_3_8_the_end_of_latchd_ends_all_decisions)
{
	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	attribution_free(attribution);
	cr_expect_eq(decisions(), 0);
	attribution = attribution_new(loop, &maps, identities, &bus);
	cr_assert_not_null(attribution);
}

/* ---- the table */

static struct pair_decisions table;

static int put(uint32_t number, uint16_t params)
{
	struct latch_flow flow = flow_inside(1);

	memcpy(flow.remote_addr, &number, sizeof(number));
	return pair_decisions_put(&table, &flow, params, false);
}

Test(pair_decisions, decisions_of_a_latchd_that_was_killed_are_deleted_before_any_bind)
{
	pair_decisions_start(&table, maps.pairs);
	cr_assert_eq(pair_decisions_follow(&table, 0), 0);
	cr_assert_eq(put(1, 3), 0);
	pair_decisions_start(&table, maps.pairs);
	cr_expect_eq(pair_decisions_follow(&table, 0), 0);
	cr_expect_eq(decisions(), 0);
}

Test(pair_decisions, decisions_that_cannot_be_deleted_are_no_success)
{
	pair_decisions_start(&table, -1);
	cr_expect_lt(pair_decisions_follow(&table, 0), 0);
	cr_expect_lt(pair_decisions_follow(&table, 0), 0, "nor at the second attempt");
}

Test(pair_decisions, a_peer_has_a_quarter_of_the_decisions)
{
	uint32_t i;

	pair_decisions_start(&table, maps.pairs);
	cr_assert_eq(pair_decisions_follow(&table, 0), 0);
	for (i = 0; i < PAIR_DECISIONS_SHARE_MAX; i++)
		cr_assert_eq(put(i + 1, 3), 0);
	cr_expect_eq(put(i + 1, 3), -ENOSPC);
	cr_expect_eq(put(1, 3), 0, "a known pair needs no place");
	cr_expect_eq(put(i + 1, 4), 0, "another peer has its own share");
	cr_expect_eq(decisions(), PAIR_DECISIONS_SHARE_MAX + 1);
	cr_expect_eq(pair_decisions_follow(&table, 1), 0);
	cr_expect_eq(put(1, 3), 0);
	cr_expect_eq(decisions(), 1);
}
