/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of decisions: first decisions stay, those that no list shows leave, bound and shares.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "latchd/feeds/vici/decisions.h"

static struct vici_decisions decisions;

static void finish(void)
{
	vici_decisions_clear(&decisions);
}

TestSuite(vici_decisions, .fini = finish);

static int set(uint32_t id, enum vici_proof proof, uint64_t connection, uint64_t peer)
{
	const struct vici_decision decision = {
		.proof = proof, .class = FEED_AUTH_PUBKEY, .connection = connection, .peer = peer};

	return vici_decisions_set(&decisions, id, &decision);
}

Test(vici_decisions, the_first_decision_on_an_ike_sa_stays)
{
	const struct vici_decision *decision;

	cr_expect_null(vici_decisions_find(&decisions, 7));
	cr_assert_eq(set(7, VICI_UNPROVEN_ANY, 1, 2), 0);
	cr_assert_eq(set(7, VICI_PROOF, 1, 2), 0);
	decision = vici_decisions_find(&decisions, 7);
	cr_assert_not_null(decision);
	cr_expect_eq(decision->proof, VICI_UNPROVEN_ANY);
	cr_expect_eq(decision->class, FEED_AUTH_PUBKEY);
	cr_expect_null(vici_decisions_find(&decisions, 7 + VICI_DECISIONS_BUCKETS));
}

Test(vici_decisions, a_decision_that_no_list_asks_for_ends_after_two)
{
	cr_assert_eq(set(7, VICI_PROOF, 1, 2), 0);
	cr_assert_eq(set(8, VICI_PROOF, 1, 2), 0);
	vici_decisions_sweep(&decisions);
	cr_assert_not_null(vici_decisions_find(&decisions, 8));
	vici_decisions_sweep(&decisions);
	cr_expect_eq(decisions.count, 2, "one list may be older");
	cr_assert_not_null(vici_decisions_find(&decisions, 8));
	vici_decisions_sweep(&decisions);
	cr_expect_null(vici_decisions_find(&decisions, 7));
	cr_expect_not_null(vici_decisions_find(&decisions, 8));
}

Test(vici_decisions, an_ike_sa_that_continues_another_has_its_later_decision)
{
	cr_assert_eq(vici_decisions_follow(&decisions, 8, 7), 0);
	cr_assert_eq(vici_decisions_follow(&decisions, 9, 8), 0);
	cr_expect_eq(vici_decisions_followed(&decisions, 9), 0);
	cr_assert_eq(set(7, VICI_UNPROVEN_ANY, 1, 2), 0);
	cr_expect_null(vici_decisions_find(&decisions, 9));
	cr_expect_eq(vici_decisions_followed(&decisions, 9), 7);
	cr_assert_eq(vici_decisions_inherit(&decisions, 9, 7), 0);
	cr_assert_not_null(vici_decisions_find(&decisions, 9));
	cr_expect_eq(vici_decisions_find(&decisions, 9)->proof, VICI_UNPROVEN_ANY);
}

/* All of them while latchd waits for one answer. */
Test(vici_decisions, the_last_of_a_long_chain_of_rekeys_has_the_decision_of_the_first)
{
	uint32_t id, last = 1000;

	for (id = 2; id <= last; id++)
		cr_assert_eq(vici_decisions_follow(&decisions, id, id - 1), 0);
	cr_expect_eq(vici_decisions_followed(&decisions, last), 0);
	cr_assert_eq(set(1, VICI_UNPROVEN_ANY, 1, 2), 0);
	cr_expect_eq(vici_decisions_followed(&decisions, last), 1);
}

Test(vici_decisions, a_circle_of_ike_sas_has_no_decision)
{
	cr_assert_eq(vici_decisions_follow(&decisions, 8, 7), 0);
	cr_assert_eq(vici_decisions_follow(&decisions, 7, 8), 0);
	cr_expect_eq(vici_decisions_followed(&decisions, 8), 0);
}

Test(vici_decisions, one_identity_has_its_share_and_leaves_the_rest_to_others)
{
	uint32_t id;

	for (id = 1; id <= VICI_DECISIONS_PEER; id++) {
		cr_assert_eq(vici_decisions_room(&decisions, 1, 2), 0);
		cr_assert_eq(set(id, VICI_PROOF, 1, 2), 0);
	}
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 3), 0);
}

Test(vici_decisions, one_connection_has_its_share_whatever_its_peers_are_named)
{
	uint32_t id;

	for (id = 1; id <= VICI_DECISIONS_CONNECTION; id++)
		cr_assert_eq(set(id, VICI_PROOF, 1, 1000 + id), 0);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT);
	cr_expect_eq(vici_decisions_room(&decisions, 3, 2), 0);
}

Test(vici_decisions, an_ike_sa_that_continues_another_has_room_where_a_new_one_has_none)
{
	uint32_t id;

	for (id = 1; id <= VICI_DECISIONS_PEER; id++)
		cr_assert_eq(set(id, VICI_UNPROVEN_ANY, 1, 2), 0);
	cr_assert_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT);
	cr_expect_eq(set(id, VICI_UNPROVEN_ANY, 1, 2), 0);
	cr_expect_not_null(vici_decisions_find(&decisions, id));
}

Test(vici_decisions, an_ike_sa_that_continues_another_takes_its_place_in_the_shares)
{
	uint32_t id, last = 1 + 2 * VICI_DECISIONS_PEER;

	cr_assert_eq(set(1, VICI_PROOF, 1, 2), 0);
	for (id = 2; id <= last; id++)
		cr_assert_eq(vici_decisions_inherit(&decisions, id, id - 1), 0);
	cr_expect_eq(vici_decisions_inherit(&decisions, last, last), 0);
	cr_expect_eq(vici_decisions_inherit(&decisions, last + 1, last + 2), -ENOENT);
	cr_assert_not_null(vici_decisions_find(&decisions, 1), "an event of it may come late");
	cr_expect_eq(decisions.counted, 1);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), 0, "one that rekeys often is one");
	for (id = last + 1; id < last + VICI_DECISIONS_PEER; id++)
		cr_assert_eq(set(id, VICI_PROOF, 1, 2), 0);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT, "and not less");
}

Test(vici_decisions, an_identity_that_rekeys_without_end_leaves_the_places_of_its_connection)
{
	uint32_t id, last = VICI_DECISIONS_PEER_CONTINUED;

	cr_assert_eq(set(1, VICI_PROOF, 1, 2), 0);
	for (id = 2; id <= last; id++)
		cr_assert_eq(vici_decisions_inherit(&decisions, id, id - 1), 0);
	cr_expect_eq(vici_decisions_inherit(&decisions, last + 1, last), -EDQUOT);
	cr_expect_eq(set(last + 1, VICI_PROOF, 1, 2), -EDQUOT);
	cr_expect_eq(decisions.count, last);
	cr_assert_eq(set(last + 2, VICI_PROOF, 1, 3), 0);
	cr_expect_eq(vici_decisions_inherit(&decisions, last + 3, last + 2), 0);
}

Test(vici_decisions, a_file_has_more_of_an_identity_than_a_charon_adds)
{
	const struct vici_decision decision = {
		.proof = VICI_PROOF, .class = FEED_AUTH_PUBKEY, .connection = 1, .peer = 2};
	uint32_t id;

	for (id = 1; id <= VICI_DECISIONS_PEER_CONTINUED + 1; id++)
		cr_assert_eq(vici_decisions_restore(&decisions, id, &decision), 0);
}

/* A file has both in their order. */
Test(vici_decisions, only_a_decision_that_decides_nothing_is_replaced)
{
	const struct vici_decision unnoted = {.proof = VICI_UNPROVEN_UNNOTED,
					      .class = FEED_AUTH_UNKNOWN,
					      .connection = 1,
					      .peer = 2};
	const struct vici_decision proof = {
		.proof = VICI_PROOF, .class = FEED_AUTH_PUBKEY, .connection = 1, .peer = 2};

	cr_assert_eq(vici_decisions_restore(&decisions, 7, &unnoted), 0);
	cr_assert_eq(vici_decisions_restore(&decisions, 7, &proof), 0);
	cr_expect_eq(vici_decisions_find(&decisions, 7)->proof, VICI_PROOF);
	cr_assert_eq(vici_decisions_restore(&decisions, 7, &unnoted), 0);
	cr_expect_eq(vici_decisions_find(&decisions, 7)->proof, VICI_PROOF);
	cr_expect_eq(decisions.count, 1);
}

Test(vici_decisions, a_connection_whose_ike_sas_all_rekey_leaves_the_rest_to_others)
{
	uint32_t id, all = VICI_DECISIONS_CONNECTION;

	for (id = 1; id <= all; id++)
		cr_assert_eq(set(id, VICI_PROOF, 1, 1000 + id), 0);
	for (id = 1; id <= all; id++)
		cr_assert_eq(vici_decisions_inherit(&decisions, all + id, id), 0);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT);
	cr_expect_eq(vici_decisions_room(&decisions, 3, 2), 0);
	cr_expect_eq(vici_decisions_inherit(&decisions, 2 * all + 1, 2 * all), -EDQUOT);
	for (id = 3 * all; id < 3 * all + VICI_DECISIONS_MAX - all; id++)
		cr_assert_eq(set(id, VICI_PROOF, 3, 1000 + id), 0);
}

/* Those that live count once a list shows them, and no more than a share. */
Test(vici_decisions, a_connection_with_a_full_file_leaves_the_rest_to_others_after_a_restart)
{
	struct vici_decision decision = {
		.proof = VICI_PROOF, .class = FEED_AUTH_PUBKEY, .connection = 1, .peer = 0};
	uint32_t id, all = VICI_DECISIONS_CONNECTION_CONTINUED;

	for (id = 1; id <= all; id++) {
		decision.peer = 1000 + id;
		cr_assert_eq(vici_decisions_restore(&decisions, id, &decision), 0);
	}
	cr_expect_eq(vici_decisions_restore(&decisions, id, &decision), -EDQUOT);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), 0, "they may all have ended");
	cr_expect_eq(vici_decisions_room(&decisions, 3, 2), 0);
	for (id = 1; id <= all; id++)
		cr_assert_not_null(vici_decisions_find(&decisions, id));
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT);
	for (id = 0; id < VICI_DECISIONS_MAX - VICI_DECISIONS_CONNECTION; id++) {
		cr_assert_eq(vici_decisions_room(&decisions, 3, 2), 0);
		cr_assert_eq(set(2 * all + id, VICI_PROOF, 3, 1000 + id), 0);
	}
}

Test(vici_decisions, a_decision_of_a_file_counts_for_no_share_until_a_list_shows_its_ike_sa)
{
	const struct vici_decision decision = {
		.proof = VICI_PROOF, .class = FEED_AUTH_PUBKEY, .connection = 1, .peer = 2};
	uint32_t id;

	for (id = 1; id <= 2 * VICI_DECISIONS_PEER; id++)
		cr_assert_eq(vici_decisions_restore(&decisions, id, &decision), 0);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), 0);
	for (id = 1; id <= VICI_DECISIONS_PEER; id++)
		cr_assert_not_null(vici_decisions_find(&decisions, id));
	cr_expect_not_null(vici_decisions_find(&decisions, 1));
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), -EDQUOT);
	vici_decisions_sweep(&decisions);
	vici_decisions_sweep(&decisions);
	vici_decisions_sweep(&decisions);
	cr_expect_eq(decisions.count, 0);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), 0);
}

Test(vici_decisions, a_full_table_takes_no_other_decision)
{
	uint32_t id;

	for (id = 1; id <= VICI_DECISIONS_MAX; id++)
		cr_assert_eq(set(id, VICI_PROOF, id % 2, 10 + id), 0);
	cr_expect_eq(vici_decisions_room(&decisions, 7, 8), -E2BIG);
	for (; id <= VICI_DECISIONS_CONTINUED; id++)
		cr_assert_eq(set(id, VICI_PROOF, 7, 10 + id), 0);
	cr_expect_eq(set(id, VICI_PROOF, 7, 8), -E2BIG);
	cr_expect_eq(vici_decisions_follow(&decisions, id, 1), -E2BIG);
	cr_expect_null(vici_decisions_find(&decisions, id));
	cr_expect_not_null(vici_decisions_find(&decisions, 1));
}

Test(vici_decisions, ike_sas_that_follow_have_a_share_and_take_none_when_they_are_decided)
{
	uint32_t id;

	for (id = 2; id <= 1 + VICI_DECISIONS_FOLLOWERS; id++)
		cr_assert_eq(vici_decisions_follow(&decisions, id, 1), 0);
	cr_expect_eq(vici_decisions_follow(&decisions, id, 1), -E2BIG);
	cr_expect_eq(vici_decisions_room(&decisions, 1, 2), 0);
	cr_assert_eq(set(2, VICI_PROOF, 1, 2), 0);
	cr_expect_eq(decisions.count, VICI_DECISIONS_FOLLOWERS);
	cr_expect_eq(vici_decisions_follow(&decisions, id, 1), 0);
	vici_decisions_sweep(&decisions);
	vici_decisions_sweep(&decisions);
	vici_decisions_sweep(&decisions);
	cr_expect_eq(vici_decisions_follow(&decisions, id, 1), 0);
	cr_expect_eq(decisions.followers, 1);
}

Test(vici_decisions, a_full_table_decides_an_ike_sa_that_follows)
{
	uint32_t id;

	cr_assert_eq(vici_decisions_follow(&decisions, 1, 99), 0);
	for (id = 2; id <= VICI_DECISIONS_CONTINUED; id++)
		cr_assert_eq(set(id, VICI_PROOF, id % 2, 10 + id), 0);
	cr_assert_eq(set(id, VICI_PROOF, 7, 8), -E2BIG);
	cr_expect_eq(set(1, VICI_PROOF, 7, 8), 0);
}
