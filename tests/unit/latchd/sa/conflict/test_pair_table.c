/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of decisions for pairs of addresses: its shares, and the end of decisions. */
#include "pair_fixture.h"

#include "latchd/sa/child/sa_group_changes.h"

TestSuite(pair_table, .init = start, .fini = fixture_finish, .timeout = 120);

static struct pair_decisions table;
static struct sa_groups groups;

static void start_table(void)
{
	memset(&groups, 0, sizeof(groups));
	pair_decisions_start(&table, maps.pairs);
	cr_assert_eq(pair_decisions_follow(&table, &groups), 0);
}

static struct latch_flow flow_to(uint32_t number)
{
	struct latch_flow flow = flow_inside(1);

	memcpy(flow.remote_addr, &number, sizeof(number));
	return flow;
}

/* Of a peer that has params of the same number. */
static int put(uint32_t number, uint16_t peer)
{
	const struct sa_group group = {.params = peer, .peer = peer};
	const struct latch_flow flow = flow_to(number);

	return pair_decisions_put(&table, &flow, &group, false);
}

static bool has(uint32_t number, uint16_t peer)
{
	const struct latch_flow flow = flow_to(number);

	return decision_between(&flow, peer) == LATCH_PAIR_ALONE;
}

Test(pair_table, decisions_of_a_latchd_that_was_killed_are_deleted_before_any_bind)
{
	start_table();
	cr_assert_eq(put(1, 3), 0);
	pair_decisions_start(&table, maps.pairs);
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect_eq(decisions(), 0);
}

Test(pair_table, decisions_that_cannot_be_deleted_are_no_success)
{
	pair_decisions_start(&table, -1);
	cr_expect_lt(pair_decisions_follow(&table, &groups), 0);
	cr_expect_lt(pair_decisions_follow(&table, &groups), 0, "nor at the second attempt");
}

Test(pair_table, a_decision_that_cannot_be_deleted_takes_the_others_with_it)
{
	struct choice_change change = {.count = 1, .edits[0].family = AF_INET};

	start_table();
	cr_assert_eq(put(0, 3), 0);
	cr_assert_eq(put(1, 3), 0);
	sa_group_changes_add_choice(&groups, ns.cookie, &change);
	table.map = -1;
	cr_expect_lt(pair_decisions_follow(&table, &groups), 0);
	table.map = maps.pairs;
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect_eq(decisions(), 0);
}

/* Hosts behind a peer may be many. Each of its connections to a further one ends its own oldest
 * decision, and no other peer's. */
Test(pair_table, a_full_table_takes_from_the_peer_with_most_decisions)
{
	uint32_t i;

	start_table();
	cr_assert_eq(put(1, 4), 0);
	for (i = 1; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 3), 0);
	cr_expect_eq(put(1, 3), 0, "a known pair needs no place");
	cr_expect(has(1, 3));
	cr_expect_eq(put(i, 3), 0);
	cr_expect(has(i, 3));
	cr_expect_not(has(1, 3), "the oldest");
	cr_expect(has(2, 3));
	cr_expect_eq(put(2, 4), 0, "another peer needs one");
	cr_expect(has(1, 4) && has(2, 4));
	cr_expect_not(has(2, 3));
	cr_expect_eq(decisions(), LATCH_PAIRS_MAX);
}

Test(pair_table, peers_share_a_full_table_in_equal_parts)
{
	uint32_t i;

	start_table();
	for (i = 0; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 3), 0);
	for (i = 0; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 4), 0);
	cr_expect_geq(table.of_peer[3], LATCH_PAIRS_MAX / 2 - 1);
	cr_expect_geq(table.of_peer[4], LATCH_PAIRS_MAX / 2 - 1);
	cr_expect_eq(decisions(), LATCH_PAIRS_MAX);
}

Test(pair_table, more_changes_than_are_known_end_all_decisions)
{
	struct choice_change change = {.count = 1,
				       .edits[0] = {.family = AF_INET, .low = {9}, .high = {9}}};
	unsigned int i;

	start_table();
	cr_assert_eq(put(1, 3), 0);
	for (i = 0; i < SA_GROUPS_CHANGES; i++)
		sa_group_changes_add_choice(&groups, ns.cookie, &change);
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect(has(1, 3), "none of these concerns it");
	for (i = 0; i <= SA_GROUPS_CHANGES; i++)
		sa_group_changes_add_choice(&groups, ns.cookie, &change);
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect_eq(decisions(), 0);
}

/* Of the addresses, of the family, and of the namespace. */
static bool is_ended_by(uint64_t netns, struct choice_edit edit)
{
	struct choice_change change = {.count = 1, .edits[0] = edit};

	start_table();
	cr_assert_eq(put(htonl(0x0a090909), 3), 0);
	sa_group_changes_add_choice(&groups, netns, &change);
	cr_assert_eq(pair_decisions_follow(&table, &groups), 0);
	return !decisions();
}

Test(pair_table, R_2_3_8_a_change_ends_the_decisions_that_it_concerns)
{
	cr_expect(is_ended_by(ns.cookie, (struct choice_edit){.family = AF_INET,
							      .low = {10, 9, 9, 9},
							      .high = {10, 9, 9, 9}}));
	cr_expect(is_ended_by(ns.cookie, (struct choice_edit){.if_id = 41}), "a device");
	cr_expect_not(is_ended_by(
		ns.cookie,
		(struct choice_edit){.family = AF_INET, .low = {10, 9, 9, 10}, .high = {255}}));
	cr_expect_not(is_ended_by(ns.cookie,
				  (struct choice_edit){.family = AF_INET, .high = {10, 9, 9, 8}}));
	cr_expect_not(is_ended_by(ns.cookie, (struct choice_edit){.family = AF_INET6,
								  .low = {10, 9, 9, 9},
								  .high = {10, 9, 9, 10}}));
	cr_expect_not(is_ended_by(ns.cookie + 1, (struct choice_edit){.if_id = 41}));
}
