/* SPDX-License-Identifier: BSD-2-Clause */
/* A peer that has several IKE_SAs, at once or one after the other: when is it dead? */
#include "peer_fixture.h"

TestSuite(peer_death, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

Test(peer_death, who_lives_on_another_ike_sa_is_not_dead)
{
	two_peers();
	lives(&charon, "c.example", 3);
	dies("c.example", 1);
	expect_reasons(&to_c, 0);
	dies("c.example", 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* C had an IKE_SA by another configuration, too, which is left. */
static struct feed_peer dies_by_one_of_two(void)
{
	struct feed_peer other = peer_of("c.example", 3);

	two_peers();
	strcpy(other.config_name, "other");
	sink->peer_up(sink->context, &charon, &other);
	dies("c.example", 1);
	return other;
}

Test(peer_death, who_lives_by_another_configuration_is_not_dead)
{
	struct feed_peer other = dies_by_one_of_two();

	expect_reasons(&to_c, 0);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_ORDERLY);
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, another_peer_does_not_keep_it_alive)
{
	struct feed_peer psk = peer_of("c.example", 3);

	two_peers();
	psk.auth = FEED_AUTH_PSK;
	sink->peer_up(sink->context, &charon, &psk);
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* Dead-peer detection gives up one IKE_SA after the other. */
Test(peer_death, R_2_19_who_dies_by_one_configuration_after_the_other)
{
	struct feed_peer other = dies_by_one_of_two();

	expect_reasons(&to_c, 0);
	snapshot_of(&other);
	expect_reasons(&to_c, 0);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&also_to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, who_leaves_in_good_order_had_not_died)
{
	struct feed_peer other = dies_by_one_of_two();

	snapshot_of(&other);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_ORDERLY);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, 0);
}

/* One that was never set up says nothing: its peer is only what it claims to be. */
Test(peer_death, R_2_19_nobody_else_takes_a_death_back)
{
	dies_by_one_of_two();
	lives(&charon, "x.example", 3); /* no longer who lived on */
	ends(&charon, "c.example", 9, FEED_DOWN_ORDERLY);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* By the first configuration it is back, and its latches are served there. */
Test(peer_death, who_came_back_is_not_dead_of_old)
{
	struct feed_peer other = dies_by_one_of_two(), back = peer_of("c.example", 4);

	sink->snapshot_begin(sink->context, &charon);
	sink->peer_up(sink->context, &charon, &other);
	sink->peer_up(sink->context, &charon, &back);
	sink->snapshot_end(sink->context, &charon);
	sink->peer_down(sink->context, &charon, &back, FEED_DOWN_ORDERLY);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, 0);
}

/* The loser of a rekey collision ends without an event: only a new list shows it. */
Test(peer_death, R_2_19_who_seems_to_live_is_asked_for)
{
	uint32_t resyncs = charon.resyncs;

	two_peers();
	lives(&charon, "c.example", 3);
	dies("c.example", 1);
	expect_reasons(&to_c, 0);
	cr_expect_eq(charon.resyncs, resyncs + 1);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

/* What a list named that was asked for before is no answer. */
Test(peer_death, an_older_list_is_no_answer)
{
	uint32_t resyncs = charon.resyncs;

	two_peers();
	sink->snapshot_begin(sink->context, &charon);
	lives(&charon, "c.example", 3);
	dies("c.example", 1);
	sink->snapshot_end(sink->context, &charon);
	cr_expect_eq(charon.resyncs, resyncs + 2);
	expect_reasons(&to_c, 0);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, R_2_19_a_rekeyed_ike_sa_keeps_nobody_alive)
{
	struct feed_peer next = peer_of("c.example", 5);

	two_peers();
	sink->peer_rekeyed(sink->context, &charon, 1, &next);
	dies("c.example", 5);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, a_rekeyed_ike_sa_lives)
{
	struct feed_peer next = peer_of("c.example", 5);

	two_peers();
	lives(&charon, "c.example", 3);
	sink->peer_rekeyed(sink->context, &charon, 1, &next);
	dies("c.example", 3);
	expect_reasons(&to_c, 0);
}

/* It began when the peer was back already, while the death waited for a list. */
Test(peer_death, S18_a_latch_that_is_younger_than_the_death)
{
	struct latch_flow fresh;

	two_peers();
	lives(&charon, "c.example", 3);
	dies("c.example", 1);
	fresh = latch_to(2, 1003, in_params(&c), 0);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&fresh, 0);
}

/* The IKE_SA was rekeyed: a snapshot names the new one and not the old. */
Test(peer_death, an_ike_sa_that_a_snapshot_does_not_name_is_over)
{
	two_peers();
	sink->snapshot_begin(sink->context, &charon);
	lives(&charon, "c.example", 5);
	lives(&charon, "d.example", 2);
	up(&charon, &c);
	up(&charon, &d);
	sink->snapshot_end(sink->context, &charon);
	expect_reasons(&to_c, 0);
	dies("c.example", 5);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

/* INITIAL_CONTACT is per address family: C's other IKE_SA shows that C has not rebooted. */
Test(peer_death, who_lives_on_an_older_ike_sa_has_not_rebooted)
{
	two_peers();
	lives(&charon, "c.example", 3);
	ends(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	reboots("c.example", 1, 4);
	expect_reasons(&to_c, 0);
}

/* The two of charon's sockets have no order between them. */
Test(peer_death, S19_the_successor_may_be_known_before)
{
	struct feed_child next = child_at("c.example", 2, 5);
	struct latch_flow fresh;

	two_peers();
	next.ike_unique_id = 3;
	lives(&charon, "c.example", 3);
	bring_up(&charon, &next);
	fresh = latch_to(2, 1003, in_params(&next), 0);
	cr_assert_eq(in_params(&next), in_params(&c));
	reboots("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&fresh, 0);
}

/* Unique ids start again with every charon: an orphan's IKE_SA is not the one of that number now.
 */
Test(peer_death, S19_an_orphan_is_no_child_of_the_successor)
{
	struct feed_child orphan = child_at("d.example", 3, 7);

	two_peers();
	orphan.ike_unique_id = 3;
	bring_up(&charon, &orphan);
	to_c = latch_to(2, 1003, in_params(&c), 0);
	lose(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	lives(&charon, "c.example", 1);
	snapshot(&charon, NULL, NULL);
	reboots("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
}
