/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 5660 section 2, R-2-19: which latches a dead or rebooted peer breaks, and which not. */
#include "attribution_fixture.h"

#include "latchd/peer_death.h"

TestSuite(peer_death, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static struct feed_peer peer_of(const char *id, uint32_t ike_unique_id)
{
	struct feed_peer peer = {.auth = FEED_AUTH_PUBKEY, .ike_unique_id = ike_unique_id};

	strcpy(peer.config_name, "x509");
	strcpy(peer.id, id);
	return peer;
}

static void lives(struct feed *feed, const char *id, uint32_t ike_unique_id)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	sink->peer_up(sink->context, feed, &peer);
}

static void ends(struct feed *feed, const char *id, uint32_t ike_unique_id,
		 enum feed_down_cause cause)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	sink->peer_down(sink->context, feed, &peer, cause);
}

static void dies(const char *id, uint32_t ike_unique_id)
{
	ends(&charon, id, ike_unique_id, FEED_DOWN_PEER_DEAD);
}

static void reboots(const char *id, uint32_t ike_unique_id, uint32_t successor)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	peer.successor = successor;
	sink->peer_down(sink->context, &charon, &peer, FEED_DOWN_PEER_REBOOTED);
}

/* Two peers with different selectors, so that neither is in conflict with the other. */
static struct feed_child child_at(const char *peer, uint8_t host, uint32_t spi)
{
	struct feed_child child = child_of(peer, spi);
	char text[32];

	snprintf(text, sizeof(text), "10.9.0.%u/32", host);
	child.remote_host[3] = host;
	child.remote_ts = selectors(text);
	return child;
}

static struct latch_flow latch_to(uint8_t host, uint16_t port, uint16_t params, uint8_t rule_flags)
{
	struct latch_flow flow = flow_at(port, ns.cookie);
	struct latch latch = {
		.id = 0x1000u + port,
		.born = clock_boot_ns(),
		.owner = LATCH_OWNER_SOCKET,
		.rule_flags = rule_flags,
		.word = {.generation = 1, .params = params, .state = LATCH_STATE_ESTABLISHED},
	};

	flow.remote_addr[3] = host;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
	return flow;
}

/* One that names a single IKE_SA. */
static void snapshot_of(const struct feed_peer *peer)
{
	sink->snapshot_begin(sink->context, &charon);
	sink->peer_up(sink->context, &charon, peer);
	sink->snapshot_end(sink->context, &charon);
}

static void expect_reasons(const struct latch_flow *flow, uint8_t reasons)
{
	settle();
	cr_expect_eq(latch_of(flow).word.reasons, reasons, "reasons 0x%x",
		     latch_of(flow).word.reasons);
	cr_expect_eq(latch_of(flow).word.state,
		     reasons ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED);
}

/* C and D live, two latches to C and one to D. */
static struct feed_child c, d;
static struct latch_flow to_c, also_to_c, to_d;

static bool to_c_is_broken(void)
{
	return latch_of(&to_c).word.state == LATCH_STATE_BROKEN;
}

static void two_peers(void)
{
	c = child_at("c.example", 2, 1);
	d = child_at("d.example", 3, 2);
	c.ike_unique_id = 1;
	d.ike_unique_id = 2;
	lives(&charon, "c.example", 1);
	lives(&charon, "d.example", 2);
	bring_up(&charon, &c);
	bring_up(&charon, &d);
	to_c = latch_to(2, 1000, in_params(&c), 0);
	also_to_c = latch_to(2, 1001, in_params(&c), 0);
	to_d = latch_to(3, 1002, in_params(&d), 0);
	seen.reasons = LATCH_REASONS_STICKY;
}

Test(peer_death, R_2_19_dead_peer_breaks_its_latches)
{
	two_peers();
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.broken, 2);
	cr_expect_eq(seen.got, 0);
	expect_reasons(&also_to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, R_2_19_rebooted_peer_breaks_its_latches)
{
	two_peers();
	ends(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	expect_reasons(&to_c, 0);
	reboots("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	cr_expect_eq(seen.broken, 2);
	expect_reasons(&also_to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&to_d, 0);
}

Test(peer_death, R_2_19_a_latch_to_the_dead_never_heals)
{
	two_peers();
	dies("c.example", 1);
	leave_both(&c);
	lives(&charon, "c.example", 3);
	c = child_at("c.example", 2, 3);
	bring_up(&charon, &c);
	snapshot(&charon, &c, &d);
	attribution_reconcile(attribution);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.healed, 0);
	cr_expect_eq(latch_heal(&maps, &to_c, latch_of(&to_c).id, LATCH_REASONS_ALL, NULL),
		     LATCH_CONTROL_UNCHANGED);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, S18_a_new_connection_to_who_came_back)
{
	struct latch_flow again;

	two_peers();
	dies("c.example", 1);
	leave_both(&c);
	lives(&charon, "c.example", 3);
	c = child_at("c.example", 2, 3);
	bring_up(&charon, &c);
	again = latch_to(2, 1003, in_params(&c), 0);
	attribution_latch_born(attribution, &again);
	expect_reasons(&again, 0);
	ends(&charon, "c.example", 3, FEED_DOWN_ORDERLY);
	expect_reasons(&again, 0);
}

Test(peer_death, an_orderly_end_breaks_nothing)
{
	two_peers();
	ends(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	down(&charon, &c);
	leave_both(&c);
	expect_reasons(&to_c, 0);
	cr_expect_eq(seen.broken, 0);
}

Test(peer_death, who_has_no_children_left_dies_all_the_same)
{
	two_peers();
	down(&charon, &c);
	leave_both(&c);
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, told_twice_is_told_once)
{
	two_peers();
	dies("c.example", 1);
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.broken, 2);
}

Test(peer_death, a_latch_in_conflict_is_dead_too)
{
	struct feed_child impostor = child_at("d.example", 2, 4);

	two_peers();
	seen.reasons = LATCH_REASON_SA_CONFLICT;
	bring_up(&charon, &impostor);
	cr_expect_eq(seen.broken, 2);
	seen.reasons = LATCH_REASONS_STICKY;
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_SA_CONFLICT | LATCH_REASON_PEER_DEAD);
	cr_expect_eq(seen.broken, 2, "BROKEN already: no second alert");
	down(&charon, &impostor);
	leave_both(&impostor);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

/* ---- rules */

Test(peer_death, a_rule_keeps_a_latch_to_the_dead)
{
	struct latch_flow kept, other;

	two_peers();
	kept = latch_to(2, 1003, in_params(&c), LATCH_RULE_KEEP_ON_DPD);
	other = latch_to(2, 1004, in_params(&c), LATCH_RULE_KEEP_ON_REBOOT);
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&other, LATCH_REASON_PEER_DEAD);
	expect_reasons(&kept, 0);
}

Test(peer_death, a_rule_keeps_a_latch_to_the_rebooted)
{
	struct latch_flow kept, other;

	two_peers();
	kept = latch_to(2, 1003, in_params(&c), LATCH_RULE_KEEP_ON_REBOOT);
	other = latch_to(2, 1004, in_params(&c), LATCH_RULE_KEEP_ON_DPD);
	reboots("c.example", 1, 3);
	expect_reasons(&to_c, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&other, LATCH_REASON_PEER_REBOOTED);
	expect_reasons(&kept, 0);
}

/* ---- one identity, several IKE_SAs */

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

/* ---- others are not concerned */

Test(peer_death, a_stranger_breaks_nothing)
{
	struct feed_peer psk = peer_of("c.example", 9);

	two_peers();
	dies("x.example", 9);
	dies("c.example.evil", 9);
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

Test(peer_death, only_its_own_key_manager_declares_it_dead)
{
	two_peers();
	ends(&pluto, "c.example", 1, FEED_DOWN_PEER_DEAD);
	attach(&pluto, &ns);
	snapshot(&pluto, NULL, NULL);
	ends(&pluto, "c.example", 1, FEED_DOWN_PEER_DEAD);
	expect_reasons(&to_c, 0);
	/* Nor does another one's IKE_SA keep it alive. */
	lives(&pluto, "c.example", 3);
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, of_another_namespace_nothing_breaks)
{
	struct latch_flow elsewhere;

	two_peers();
	elsewhere = latch_at(1003, ns.cookie + 1, in_params(&c));
	dies("c.example", 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&elsewhere, 0);
}

/* ---- key managers come and go */

Test(peer_death, a_lost_key_manager_breaks_nothing)
{
	two_peers();
	lose(&charon, FEED_STATE_LOST);
	expect_reasons(&to_c, 0);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	attribution_reconcile(attribution);
	expect_reasons(&to_c, 0);
	cr_expect_eq(seen.broken, 0);
}

/* Unique ids start again with every charon. */
Test(peer_death, a_lost_key_managers_ike_sas_keep_nobody_alive)
{
	two_peers();
	lose(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	snapshot(&charon, &c, &d);
	lives(&charon, "c.example", 7);
	dies("c.example", 7);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
}

Test(peer_death, a_death_during_the_first_snapshot_waits_for_its_end)
{
	two_peers();
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	dies("c.example", 1);
	dies("d.example", 2);
	expect_reasons(&to_c, 0);
	lives(&charon, "d.example", 3);
	sink->snapshot_end(sink->context, &charon);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, a_death_that_waits_is_void_when_the_key_manager_goes)
{
	two_peers();
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	dies("c.example", 1);
	lose(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	expect_reasons(&to_c, 0);
}

/* Each of another name: told twice, one waits once. */
static void many_die(unsigned int count)
{
	char id[16];

	while (count--) {
		snprintf(id, sizeof(id), "p%u", count);
		dies(id, count + 10);
		if (count % 2)
			dies(id, count + 10);
	}
}

Test(peer_death, more_deaths_than_can_wait)
{
	two_peers();
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	logged.wanted = "too many peers died";
	dies("c.example", 1);
	many_die(PEER_DEATHS_MAX - 1);
	cr_expect_eq(logged.count, 0);
	dies("d.example", 2);
	cr_expect_eq(logged.count, 1);
	sink->snapshot_end(sink->context, &charon);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

/* Nobody will tell it again. */
Test(peer_death, R_2_16_what_was_told_is_done_before_the_end)
{
	two_peers();
	dies("c.example", 1);
	restart_latchd();
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}

Test(peer_death, a_break_that_fails_is_tried_again)
{
	int control = maps.control;

	two_peers();
	logged.wanted = "peers are gone, but not all their latches are broken";
	maps.control = -1;
	dies("c.example", 1);
	settle();
	maps.control = control;
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(latch_of(&to_c).word.state, LATCH_STATE_ESTABLISHED);
	wait_until(to_c_is_broken);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, 0);
}
