/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A peer with several IKE_SAs, at once or one after the other: the peers of
 * peer_fixture.h, and further IKE_SAs of C, such as number 3.
 */
#include "peer_fixture.h"

TestSuite(peer_death, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

Test(peer_death, a_peer_with_another_ike_sa_is_not_dead)
{
	two_peers();
	ike_sa_up(&charon, "c.example", 3);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, 0);
	peer_dead("c.example", 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* C keeps IKE_SA 3 of another configuration. */
static struct feed_peer dead_in_one_of_two(void)
{
	struct feed_peer other = peer_of("c.example", 3);

	two_peers();
	strcpy(other.config_name, "other");
	sink->peer_up(sink->context, &charon, &other);
	peer_dead("c.example", 1);
	return other;
}

Test(peer_death, a_peer_with_an_ike_sa_of_another_configuration_is_not_dead)
{
	struct feed_peer other = dead_in_one_of_two();

	expect_reasons(&to_c, 0);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_ORDERLY);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, an_ike_sa_of_another_authentication_class_does_not_keep_a_peer_alive)
{
	struct feed_peer psk = peer_of("c.example", 3);

	two_peers();
	psk.auth = FEED_AUTH_PSK;
	sink->peer_up(sink->context, &charon, &psk);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* Dead peer detection ends one IKE_SA after the other. */
Test(peer_death, R_2_19_a_peer_dead_in_one_configuration_after_the_other_breaks_its_latches)
{
	struct feed_peer other = dead_in_one_of_two();

	expect_reasons(&to_c, 0);
	snapshot_of(&other);
	expect_reasons(&to_c, 0);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&also_to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, an_orderly_delete_of_the_last_ike_sa_voids_earlier_dead_peer_reports)
{
	struct feed_peer other = dead_in_one_of_two();

	snapshot_of(&other);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_ORDERLY);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, 0);
}

/* An IKE_SA that was never set up proves nothing: its identity is only a claim. */
Test(peer_death, R_2_19_an_unknown_ike_sa_cannot_void_a_dead_peer_report)
{
	dead_in_one_of_two();
	ike_sa_up(&charon, "x.example", 3); /* replaces C's IKE_SA 3 */
	ike_sa_down(&charon, "c.example", 9, FEED_DOWN_ORDERLY);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* The peer is back with the first configuration, which its latches belong to. */
Test(peer_death, an_older_dead_peer_report_breaks_no_latch_of_a_peer_that_came_back)
{
	struct feed_peer other = dead_in_one_of_two(), back = peer_of("c.example", 4);

	sink->snapshot_begin(sink->context, &charon);
	sink->peer_up(sink->context, &charon, &other);
	sink->peer_up(sink->context, &charon, &back);
	sink->snapshot_end(sink->context, &charon);
	sink->peer_down(sink->context, &charon, &back, FEED_DOWN_ORDERLY);
	sink->peer_down(sink->context, &charon, &other, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, 0);
}

/* The redundant IKE_SA of a rekey collision ends without an event: only a new list shows its end.
 */
Test(peer_death, R_2_19_a_dead_peer_with_another_ike_sa_is_checked_by_a_new_snapshot)
{
	uint32_t resyncs = charon.resyncs;

	two_peers();
	ike_sa_up(&charon, "c.example", 3);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, 0);
	cr_expect_eq(charon.resyncs, resyncs + 1);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

/* A list that was requested before the report does not answer the question. */
Test(peer_death, a_snapshot_begun_before_the_dead_peer_report_does_not_decide)
{
	uint32_t resyncs = charon.resyncs;

	two_peers();
	sink->snapshot_begin(sink->context, &charon);
	ike_sa_up(&charon, "c.example", 3);
	peer_dead("c.example", 1);
	sink->snapshot_end(sink->context, &charon);
	cr_expect_eq(charon.resyncs, resyncs + 2);
	expect_reasons(&to_c, 0);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, R_2_19_a_rekeyed_ike_sa_keeps_no_peer_alive)
{
	struct feed_peer next = peer_of("c.example", 5);

	two_peers();
	sink->peer_rekeyed(sink->context, &charon, 1, &next);
	peer_dead("c.example", 5);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, the_successor_of_a_rekeyed_ike_sa_keeps_its_peer_alive)
{
	struct feed_peer next = peer_of("c.example", 5);

	two_peers();
	ike_sa_up(&charon, "c.example", 3);
	sink->peer_rekeyed(sink->context, &charon, 1, &next);
	peer_dead("c.example", 3);
	expect_reasons(&to_c, 0);
}

/* The latch began when the peer was back, while the report waited for a list. */
Test(peer_death, S18_a_latch_created_after_the_dead_peer_report_stays_established)
{
	struct latch_flow fresh;

	two_peers();
	ike_sa_up(&charon, "c.example", 3);
	peer_dead("c.example", 1);
	fresh = latch_to(2, 1003, in_params(&c), 0);
	snapshot(&charon, &c, &d);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&fresh, 0);
}

/* The IKE_SA was rekeyed: the snapshot reports the new IKE_SA and not the old. */
Test(peer_death, an_ike_sa_missing_from_a_snapshot_keeps_no_peer_alive)
{
	two_peers();
	sink->snapshot_begin(sink->context, &charon);
	ike_sa_up(&charon, "c.example", 5);
	ike_sa_up(&charon, "d.example", 2);
	up(&charon, &c);
	up(&charon, &d);
	sink->snapshot_end(sink->context, &charon);
	expect_reasons(&to_c, 0);
	peer_dead("c.example", 5);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

/* INITIAL_CONTACT is per address family: C's other IKE_SA shows that C has not rebooted. */
Test(peer_death, a_peer_with_an_older_ike_sa_has_not_rebooted)
{
	two_peers();
	ike_sa_up(&charon, "c.example", 3);
	ike_sa_down(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	peer_rebooted("c.example", 1, 4);
	expect_reasons(&to_c, 0);
}

/* Messages on charon's two connections have no order between them. */
Test(peer_death, S19_a_latch_under_the_successor_is_not_broken_by_a_late_reboot_report)
{
	struct feed_child next = child_at("c.example", 2, 5);
	struct latch_flow fresh;

	two_peers();
	next.ike_unique_id = 3;
	ike_sa_up(&charon, "c.example", 3);
	install_and_report(&charon, &next);
	fresh = latch_to(2, 1003, in_params(&next), 0);
	cr_assert_eq(in_params(&next), in_params(&c));
	peer_rebooted("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&fresh, 0);
}

/* It is the peer after its reboot: unique ids only grow. Its event comes later than its CHILD_SA.
 */
Test(peer_death, S19_a_latch_under_a_later_ike_sa_than_the_successor_stays)
{
	struct feed_child next = child_at("c.example", 2, 5);
	struct latch_flow fresh;

	two_peers();
	next.ike_unique_id = 4;
	install_and_report(&charon, &next);
	fresh = latch_to(2, 1003, in_params(&next), 0);
	peer_rebooted("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&fresh, 0);
}

/* A restarted charon starts its unique ids again: an orphan's IKE_SA is not the present IKE_SA of
 * that number. */
Test(peer_death, S19_an_orphan_with_the_successors_ike_sa_number_protects_no_latch)
{
	struct feed_child orphan = child_at("d.example", 3, 7);

	two_peers();
	orphan.ike_unique_id = 3;
	install_and_report(&charon, &orphan);
	to_c = latch_to(2, 1003, in_params(&c), 0);
	set_feed_state(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	ike_sa_up(&charon, "c.example", 1);
	snapshot(&charon, NULL, NULL);
	peer_rebooted("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
}
