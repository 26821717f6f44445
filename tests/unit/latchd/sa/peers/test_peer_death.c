/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2, R-2-19: the latches that a dead or rebooted peer breaks.
 * One key manager reports the peers C and D of peer_fixture.h as dead or rebooted.
 */
#include "peer_fixture.h"

TestSuite(peer_death, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

Test(peer_death, R_2_19_a_dead_peer_breaks_only_its_own_latches)
{
	two_peers();
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.broken, 2);
	cr_expect_eq(seen.got, 0);
	expect_reasons(&also_to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, R_2_19_a_rebooted_peer_breaks_only_its_own_latches)
{
	two_peers();
	ike_sa_down(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	expect_reasons(&to_c, 0);
	peer_rebooted("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	cr_expect_eq(seen.broken, 2);
	expect_reasons(&also_to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&to_d, 0);
}

static struct feed_peer with_key(const char *id, uint32_t ike_unique_id, uint8_t key)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	peer.key.known = true;
	peer.key.sha256[0] = key;
	return peer;
}

/* C has two keys one after the other: IKE_SA 1 has the first one, IKE_SA 3 the second. */
Test(peer_death, R_2_19_a_dead_peer_breaks_the_latches_of_its_own_key)
{
	struct feed_peer first = with_key("c.example", 1, 1), second = with_key("c.example", 3, 2);
	struct feed_child other = child_at("c.example", 4, 3);
	struct latch_flow to_other;

	c = child_at("c.example", 2, 1);
	c.ike_unique_id = 1;
	c.peer_key = first.key;
	other.ike_unique_id = 3;
	other.peer_key = second.key;
	sink->peer_up(sink->context, &charon, &first);
	install_and_report(&charon, &c);
	sink->peer_up(sink->context, &charon, &second);
	install_and_report(&charon, &other);
	cr_assert_neq(in_params(&c), in_params(&other));
	to_c = latch_to(2, 1000, in_params(&c), 0);
	to_other = latch_to(4, 1003, in_params(&other), 0);
	seen.reasons = LATCH_REASONS_STICKY;
	sink->peer_down(sink->context, &charon, &second, FEED_DOWN_ORDERLY);
	sink->peer_down(sink->context, &charon, &first, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_other, 0);
}

Test(peer_death, R_2_19_a_latch_broken_by_a_dead_peer_never_heals)
{
	two_peers();
	peer_dead("c.example", 1);
	delete_both(&c);
	ike_sa_up(&charon, "c.example", 3);
	c = child_at("c.example", 2, 3);
	install_and_report(&charon, &c);
	snapshot(&charon, &c, &d);
	attribution_reconcile(attribution);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.healed, 0);
	cr_expect_eq(latch_heal(&maps, &to_c, latch_of(&to_c).id, LATCH_REASONS_ALL, NULL),
		     LATCH_CONTROL_UNCHANGED);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, S18_a_new_latch_to_a_peer_that_came_back_stays_established)
{
	struct latch_flow again;

	two_peers();
	peer_dead("c.example", 1);
	delete_both(&c);
	ike_sa_up(&charon, "c.example", 3);
	c = child_at("c.example", 2, 3);
	install_and_report(&charon, &c);
	again = latch_to(2, 1003, in_params(&c), 0);
	attribution_latch_created(attribution, &again);
	expect_reasons(&again, 0);
	ike_sa_down(&charon, "c.example", 3, FEED_DOWN_ORDERLY);
	expect_reasons(&again, 0);
}

Test(peer_death, an_orderly_delete_of_an_ike_sa_breaks_no_latch)
{
	two_peers();
	ike_sa_down(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	down(&charon, &c);
	delete_both(&c);
	expect_reasons(&to_c, 0);
	cr_expect_eq(seen.broken, 0);
}

Test(peer_death, a_dead_peer_without_child_sas_breaks_its_latches)
{
	two_peers();
	down(&charon, &c);
	delete_both(&c);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, a_peer_reported_dead_twice_breaks_each_latch_once)
{
	two_peers();
	peer_dead("c.example", 1);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.broken, 2);
}

Test(peer_death, a_dead_peer_adds_a_reason_to_a_latch_in_conflict_without_a_second_alert)
{
	struct feed_child impostor = child_at("d.example", 2, 4);

	two_peers();
	seen.reasons = LATCH_REASON_SA_CONFLICT;
	install_and_report(&charon, &impostor);
	cr_expect_eq(seen.broken, 2);
	seen.reasons = LATCH_REASONS_STICKY;
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_SA_CONFLICT | LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.broken, 2, "BROKEN already: no second alert");
	down(&charon, &impostor);
	delete_both(&impostor);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* ---- rules */

Test(peer_death, only_the_keep_on_dpd_flag_keeps_a_latch_to_a_dead_peer)
{
	struct latch_flow kept, other;

	two_peers();
	kept = latch_to(2, 1003, in_params(&c), LATCH_RULE_KEEP_ON_DPD);
	other = latch_to(2, 1004, in_params(&c), LATCH_RULE_KEEP_ON_REBOOT);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&other, LATCH_REASON_PEER_DEAD);
	expect_reasons(&kept, 0);
}

Test(peer_death, only_the_keep_on_reboot_flag_keeps_a_latch_to_a_rebooted_peer)
{
	struct latch_flow kept, other;

	two_peers();
	kept = latch_to(2, 1003, in_params(&c), LATCH_RULE_KEEP_ON_REBOOT);
	other = latch_to(2, 1004, in_params(&c), LATCH_RULE_KEEP_ON_DPD);
	peer_rebooted("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&other, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&kept, 0);
}

/* ---- latches of other peers */

Test(peer_death, a_dead_peer_of_another_identity_breaks_no_latch)
{
	struct feed_peer psk = peer_of("c.example", 9);

	two_peers();
	peer_dead("x.example", 9);
	peer_dead("c.example.evil", 9);
	psk.auth = FEED_AUTH_PSK;
	sink->peer_down(sink->context, &charon, &psk, FEED_DOWN_PEER_DEAD);
	psk = peer_of("c.example", 9);
	strcpy(psk.config_name, "psk");
	sink->peer_down(sink->context, &charon, &psk, FEED_DOWN_PEER_DEAD);
	sink->peer_down(sink->context, &charon, &psk, FEED_DOWN_PEER_REBOOTED);
	cr_expect_eq(seen.broken, 0);
	expect_reasons(&to_c, 0);
	expect_reasons(&to_d, 0);
}

Test(peer_death, only_the_peers_own_key_manager_decides_whether_the_peer_is_dead)
{
	two_peers();
	ike_sa_down(&pluto, "c.example", 1, FEED_DOWN_PEER_DEAD);
	attach(&pluto, &ns);
	snapshot(&pluto, NULL, NULL);
	ike_sa_down(&pluto, "c.example", 1, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, 0);
	/* An IKE_SA of another key manager does not keep the peer alive. */
	ike_sa_up(&pluto, "c.example", 3);
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, a_dead_peer_breaks_no_latch_of_another_namespace)
{
	struct latch_flow elsewhere;

	two_peers();
	elsewhere = latch_at(1003, ns.cookie + 1, in_params(&c));
	peer_dead("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&elsewhere, 0);
}

/* ---- loss and return of key managers */

Test(peer_death, a_lost_key_manager_breaks_no_latch)
{
	two_peers();
	set_feed_state(&charon, FEED_STATE_LOST);
	expect_reasons(&to_c, 0);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	attribution_reconcile(attribution);
	expect_reasons(&to_c, 0);
	cr_expect_eq(seen.broken, 0);
}

/* A restarted charon starts its unique ids again. */
Test(peer_death, ike_sas_of_a_lost_key_manager_keep_no_peer_alive)
{
	two_peers();
	set_feed_state(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	snapshot(&charon, &c, &d);
	ike_sa_up(&charon, "c.example", 7);
	peer_dead("c.example", 7);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, a_dead_peer_report_during_the_first_snapshot_takes_effect_at_its_end)
{
	two_peers();
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	peer_dead("c.example", 1);
	peer_dead("d.example", 2);
	expect_reasons(&to_c, 0);
	ike_sa_up(&charon, "d.example", 3);
	sink->snapshot_end(sink->context, &charon);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, a_waiting_dead_peer_report_is_dropped_when_the_key_manager_is_lost)
{
	two_peers();
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	peer_dead("c.example", 1);
	set_feed_state(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	expect_reasons(&to_c, 0);
}

/* Each peer has another identity. A peer that is reported twice waits once. */
static void report_many_dead(unsigned int count)
{
	char id[16];

	while (count--) {
		snprintf(id, sizeof(id), "p%u", count);
		peer_dead(id, count + 10);
		if (count % 2)
			peer_dead(id, count + 10);
	}
}

Test(peer_death, dead_peer_reports_beyond_the_limit_are_dropped_with_a_warning)
{
	two_peers();
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	logged.wanted = "(too many reports)";
	peer_dead("c.example", 1);
	report_many_dead(PEER_DEATH_REPORTS_MAX - 1);
	cr_expect_eq(logged.count, 0);
	peer_dead("d.example", 2);
	cr_expect_eq(logged.count, 1);
	sink->snapshot_end(sink->context, &charon);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

/* No key manager repeats the report to the next latchd. */
Test(peer_death, R_2_16_latchd_breaks_the_latches_of_reported_dead_peers_before_it_exits)
{
	two_peers();
	peer_dead("c.example", 1);
	restart_latchd();
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, a_failed_break_is_retried)
{
	int control = maps.control;

	two_peers();
	logged.wanted = "latches to dead peers not all broken";
	maps.control = -1;
	peer_dead("c.example", 1);
	settle();
	maps.control = control;
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(latch_of(&to_c).word.state, LATCH_STATE_ESTABLISHED);
	wait_until(to_c_is_broken);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}
