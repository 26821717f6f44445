/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3: SAs that conflict with a latch, breaks and healing, and
 * contested SAs. One latch to C, and a second CHILD_SA:
 *
 *   W 10.9.0.1:1000 --- 10.9.0.2:4000  c.example (SPI 1), the other (SPI 2)
 */
#include "attribution_fixture.h"

#include "latchd/sa/attribution_parts.h"

static struct feed_child c, d;
static struct latch_flow flow;

static void start(void)
{
	fixture_start_synced();
	c = child_of("c.example", 1);
	d = child_of("d.example", 2);
}

TestSuite(conflict, .init = start, .fini = fixture_finish, .timeout = 60);

static void latch_to_c(void)
{
	install_and_report(&charon, &c);
	flow = latch_at(1000, ns.cookie, in_params(&c));
}

static void latch_to_c_breaks(void)
{
	latch_to_c();
	install_and_report(&charon, &d);
}

/* ---- the predicate: a latch to C, and another CHILD_SA */

struct meeting {
	struct feed_child other;
	struct latch_sa in; /* the other's */
};

static struct meeting prepare(void)
{
	struct meeting m = {.other = child_of("c.example", 2)};

	m.in = sa_from(m.other.remote_host, true);
	latch_to_c();
	return m;
}

static enum latch_state meet(const struct meeting *m)
{
	struct latch_sa_key in = in_key(&m->other, ns.cookie), out = out_key(&m->other, ns.cookie);
	struct latch_sa sa = m->in;

	install(&in, sa);
	memcpy(sa.saddr, m->other.local_host, sizeof(sa.saddr));
	sa.qop.replay_protection = 0;
	install(&out, sa);
	up(&charon, &m->other);
	expect_states(&m->other, LATCH_SA_BOUND);
	return latch_state_of(&flow);
}

static void expect_conflict(const struct meeting *m)
{
	cr_expect_eq(meet(m), LATCH_STATE_BROKEN);
	cr_expect_eq(seen.broken, 1);
	cr_expect_neq(in_params(&m->other), in_params(&c));
	cr_expect(is_contested(&c));
	cr_expect(is_contested(&m->other));
}

static void expect_no_conflict(const struct meeting *m)
{
	cr_expect_eq(meet(m), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
	cr_expect_not(is_contested(&c));
	cr_expect_not(is_contested(&m->other));
}

/* It may be of a forged SYN, and the rekeys of the peer must not make it final. */
Test(conflict, the_mark_of_a_refused_flow_gets_no_reason_by_the_keys_of_a_peer)
{
	struct latch mark = {.id = 900, .owner = LATCH_OWNER_HANDSHAKE};

	latch_to_c();
	flow = flow_at(1001, ns.cookie);
	mark.word.state = LATCH_STATE_BROKEN;
	mark.word.reasons = LATCH_REASON_REFUSED;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &mark, BPF_NOEXIST), 0);
	install_and_report(&charon, &d);
	settle();
	cr_expect_eq(seen.broken, 1, "the latch to C");
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_REFUSED);
}

Test(conflict, new_keys_under_a_new_spi_do_not_conflict)
{
	struct meeting m = prepare();

	expect_no_conflict(&m);
	cr_expect_eq(in_params(&m.other), in_params(&c));
}

Test(conflict, another_reqid_or_unique_id_does_not_conflict)
{
	struct meeting m = prepare();

	m.other.reqid = 7;
	m.other.ike_unique_id = 8;
	m.other.child_unique_id = 9;
	strcpy(m.other.child_name, "another");
	m.in.reqid = 7;
	expect_no_conflict(&m);
}

/* The administrator renews it, and the peer is the same. */
Test(conflict, another_key_of_this_host_does_not_conflict)
{
	struct latch_own_key own;
	struct meeting m = prepare();
	__u32 params;

	m.other.local_key.known = true;
	m.other.local_key.sha256[31] = 7;
	expect_no_conflict(&m);
	params = in_params(&m.other);
	cr_expect_eq(params, in_params(&c));
	cr_assert_eq(bpf_map_lookup_elem(maps.own_keys, &params, &own), 0);
	cr_expect_eq(own.key[31], 7);
}

static __u8 own_key_of(const struct feed_child *child)
{
	struct latch_own_key own = {{0}};
	__u32 params = in_params(child);

	cr_assert_eq(bpf_map_lookup_elem(maps.own_keys, &params, &own), 0);
	return own.key[31];
}

/* While an IKE_SA replaces another one both are listed, in any order. */
Test(conflict, the_newest_sa_has_the_key_of_this_host_that_counts)
{
	struct meeting m = prepare();

	c.child_unique_id = 70;
	c.local_key.known = true;
	c.local_key.sha256[31] = 5;
	up(&charon, &c);
	cr_expect_eq(own_key_of(&c), 5);
	m.other.child_unique_id = 80;
	m.other.local_key.known = true;
	m.other.local_key.sha256[31] = 7;
	expect_no_conflict(&m);
	cr_expect_eq(own_key_of(&c), 7);
	up(&charon, &c);
	cr_expect_eq(own_key_of(&c), 7, "an older one");
	down(&charon, &m.other);
	up(&charon, &c);
	cr_expect_eq(own_key_of(&c), 5, "the newest one has ended");
}

/* An entry of former params with this index must not stay. */
Test(conflict, an_unknown_key_of_this_host_replaces_the_former_one)
{
	struct latch_own_key own = {{7}};
	struct meeting m = prepare();
	__u32 params = in_params(&c);

	cr_assert_eq(bpf_map_update_elem(maps.own_keys, &params, &own, BPF_ANY), 0);
	expect_no_conflict(&m);
	cr_expect_eq(bpf_map_lookup_elem(maps.own_keys, &params, &own), -ENOENT);
}

/* The other CHILD_SA has only this difference. */
#define CONFLICT(name, difference)                                                                 \
	Test(conflict, name)                                                                       \
	{                                                                                          \
		struct meeting m = prepare();                                                      \
                                                                                                   \
		difference;                                                                        \
		expect_conflict(&m);                                                               \
	}

CONFLICT(R_2_1_R_2_3_10_an_sa_of_another_peer_conflicts, strcpy(m.other.peer_id, "d.example"))
CONFLICT(another_authentication_class_conflicts, m.other.peer_auth = FEED_AUTH_PSK)
CONFLICT(S33_another_key_of_the_peer_conflicts, m.other.peer_key.known = true)
CONFLICT(another_configuration_conflicts, strcpy(m.other.config_name, "another"))
CONFLICT(R_2_1_another_local_identity_conflicts, strcpy(m.other.local_id, "w2.example"))
CONFLICT(R_2_1_S12_another_mode_conflicts,
	 (m.other.mode = FEED_MODE_TUNNEL, m.in.mode = XFRM_MODE_TUNNEL))
CONFLICT(R_2_1_S11_another_algorithm_conflicts,
	 strncpy(m.in.qop.encryption, "cbc(aes)", sizeof(m.in.qop.encryption)))
CONFLICT(R_2_1_another_key_length_conflicts, m.in.qop.encryption_bits = 160)
CONFLICT(R_2_1_an_sa_of_ah_conflicts_with_a_latch_of_esp, m.other.ipsec_protocol = IPPROTO_AH)
CONFLICT(R_2_1_an_sa_without_replay_protection_conflicts, m.in.qop.replay_protection = 0)

Test(conflict, the_same_peer_of_another_key_manager_conflicts)
{
	struct meeting m = prepare();

	attach(&pluto, &ns);
	snapshot(&pluto, NULL, NULL);
	install_both(&m.other);
	up(&pluto, &m.other);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

/* ---- selectors that do not cover the flow */

static void expect_not_covered(const char *local, const char *remote)
{
	struct meeting m = prepare();

	strcpy(m.other.peer_id, "d.example");
	m.other.local_ts = selectors(local);
	m.other.remote_ts = selectors(remote);
	cr_expect_eq(meet(&m), LATCH_STATE_ESTABLISHED, "%s === %s", local, remote);
	cr_expect_eq(seen.broken, 0);
}

Test(conflict, another_remote_address_does_not_conflict)
{
	expect_not_covered("10.9.0.1/32", "10.9.0.3/32");
}

Test(conflict, another_local_address_does_not_conflict)
{
	expect_not_covered("10.9.0.4/32", "10.9.0.2/32");
}

Test(conflict, another_local_port_does_not_conflict)
{
	expect_not_covered("10.9.0.1/32[tcp/1001]", "10.9.0.2/32");
}

Test(conflict, another_remote_port_does_not_conflict)
{
	expect_not_covered("10.9.0.1/32", "10.9.0.2/32[tcp/4001]");
}

Test(conflict, another_protocol_does_not_conflict)
{
	expect_not_covered("10.9.0.1/32[udp]", "10.9.0.2/32[udp]");
}

Test(conflict, a_conflicting_sa_breaks_only_the_latches_it_covers)
{
	struct latch_flow covered, spared;

	install_and_report(&charon, &c);
	covered = latch_at(1000, ns.cookie, in_params(&c));
	spared = latch_at(1001, ns.cookie, in_params(&c));
	d.local_ts = selectors("10.9.0.0/16[tcp/1000]");
	install_and_report(&charon, &d);
	cr_expect_eq(latch_state_of(&covered), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_state_of(&spared), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 1);
}

/* An unreadable selector may cover the flow. */
Test(conflict, unreadable_selectors_conflict_with_every_flow)
{
	struct meeting m = prepare();

	strcpy(m.other.peer_id, "d.example");
	m.other.remote_ts = (struct traffic_selector_set){.covers_all = true};
	expect_conflict(&m);
}

/* Its params are not known yet, and no packet can arrive under it. */
Test(conflict, a_child_sa_that_is_not_in_the_kernel_does_not_conflict)
{
	latch_to_c();
	up(&charon, &d);
	attribution_latch_created(attribution, &flow);
	attribution_reconcile(attribution);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&c));
	cr_expect_eq(seen.broken, 0);
}

/* ---- healing */

Test(conflict, S7_L_2_2_5_L_6_1_1_a_latch_heals_when_the_last_conflicting_sa_is_deleted)
{
	struct feed_child e = child_of("e.example", 3);

	latch_to_c_breaks();
	install_and_report(&charon, &e);
	cr_expect_eq(seen.broken, 1);
	delete_both(&d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&c));
	delete_both(&e);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(&flow).word.reasons, 0);
	cr_expect_eq(seen.healed, 1);
	cr_expect_arr_eq(&seen.flow, &flow, sizeof(flow));
	cr_expect_not(is_contested(&c));
}

static bool latch_is_established(void)
{
	return latch_state_of(&flow) == LATCH_STATE_ESTABLISHED;
}

static bool check_has_failed(void)
{
	return logged.count > 0;
}

/* No further event comes: without a repetition the latch would stay BROKEN. */
Test(conflict, a_check_of_all_latches_that_failed_is_repeated)
{
	int latches = maps.latches;

	latch_to_c_breaks();
	logged.wanted = "conflicts of all latches not checked";
	maps.latches = -1;
	delete_both(&d);
	wait_until(check_has_failed);
	maps.latches = latches;
	wait_until(latch_is_established);
}

static bool both_are_contested(void)
{
	return in_state(&d) == LATCH_SA_BOUND && is_contested(&c) && is_contested(&d);
}

/* Seed 58 of tests/sim: else the SA of c.example could still start latches. */
Test(conflict, R_2_3_8_a_mark_that_failed_is_made_before_the_other_sa_is_bound)
{
	int control = maps.control;

	install_and_report(&charon, &c);
	install_both(&d);
	maps.control = -1;
	up(&charon, &d);
	expect_states(&d, LATCH_SA_PENDING);
	maps.control = control;
	wait_until(both_are_contested);
}

static int control;

static void mend_control(void)
{
	maps.control = control;
}

/* The mark is written within a second. Until then a latch to C would be alive beside D's SA. */
Test(conflict, R_2_3_11_a_mark_that_failed_keeps_no_latch_in_conflict_alive)
{
	latch_to_c();
	install_both(&d);
	logged.wanted = "not marked as contested";
	logged.on_wanted = mend_control;
	control = maps.control;
	maps.control = -1;
	up(&charon, &d);
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	expect_states(&d, LATCH_SA_PENDING);
	wait_until(both_are_contested);
}

Test(conflict, a_mark_that_fails_again_and_again_is_logged_once)
{
	install_and_report(&charon, &c);
	install_both(&d);
	logged.wanted = "not marked as contested";
	control = maps.control;
	maps.control = -1;
	up(&charon, &d);
	cr_assert_gt(logged.count, 0);
	logged.count = 0;
	attribution_check_all(attribution);
	attribution_check_all(attribution);
	cr_expect_eq(logged.count, 0);
	maps.control = control;
	wait_until(both_are_contested);
}

/* Its inbound SA has ended, and its outbound SA came late: it counts when its state is written. */
Test(conflict, R_2_3_8_a_child_sa_that_begins_to_count_when_it_is_deleted_marks_others_at_once)
{
	struct latch_sa_key in = in_key(&d, ns.cookie);

	install_and_report(&charon, &c);
	install_in(&d, ns.cookie);
	up(&charon, &d);
	cr_expect(is_contested(&c));
	delete_without_event(&in);
	up(&charon, &d);
	cr_expect_not(is_contested(&c));
	install_out(&d, ns.cookie);
	down(&charon, &d);
	cr_expect(is_contested(&c));
}

Test(conflict, a_remaining_outbound_sa_still_conflicts)
{
	struct latch_sa_key in = in_key(&d, ns.cookie), out = out_key(&d, ns.cookie);

	latch_to_c_breaks();
	delete_sa(&in);
	attribution_reconcile(attribution);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	delete_sa(&out);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

static void restart_with_both(void)
{
	restart_latchd();
	attach(&charon, &ns);
	snapshot(&charon, &c, &d);
}

/* The inbound SA, which has the whole quality of protection, is gone; the earlier latchd had it. */
Test(conflict, a_remaining_outbound_sa_still_conflicts_after_a_restart)
{
	struct latch_sa_key in = in_key(&d, ns.cookie), out = out_key(&d, ns.cookie);

	latch_to_c_breaks();
	delete_sa(&in);
	restart_with_both();
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&c));
	delete_sa(&out);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&c));
}

Test(conflict, an_outbound_sa_bound_to_another_peer_does_not_supply_params)
{
	struct latch_sa_key in = in_key(&d, ns.cookie);

	install_and_report(&charon, &d);
	delete_sa(&in);
	strcpy(d.peer_id, "e.example");
	latch_to_c();
	restart_with_both();
	attribution_latch_created(attribution, &flow);
	cr_expect_eq(seen.bound, 4, "neither D's nor E's anew: %u", seen.bound);
}

Test(conflict, a_deleted_child_sa_conflicts_until_the_kernel_deletes_its_sas)
{
	latch_to_c_breaks();
	down(&charon, &d);
	attribution_reconcile(attribution);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&c));
	delete_both(&d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* Each entry into BROKEN is reported once, and so is each heal. A further reason is neither. */
Test(conflict, L_6_1_1_each_break_and_each_heal_is_reported_once)
{
	uint64_t id;

	latch_to_c();
	id = latch_of(&flow).id;
	cr_assert_eq(latch_break(&maps, &flow, id, LATCH_REASON_ADMIN, NULL), LATCH_CONTROL_DONE);
	install_and_report(&charon, &d);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_ADMIN | LATCH_REASON_SA_CONFLICT);
	cr_expect_eq(seen.broken, 0);
	delete_both(&d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_ADMIN);
	cr_expect_eq(seen.healed, 0);
	cr_assert_eq(latch_heal(&maps, &flow, id, LATCH_REASON_ADMIN, NULL), LATCH_CONTROL_DONE);
	install_and_report(&charon, &d);
	cr_expect_eq(seen.broken, 1);
	delete_both(&d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.healed, 1);
}

Test(conflict, healing_a_conflict_keeps_other_reasons)
{
	latch_to_c_breaks();
	cr_assert_eq(latch_break(&maps, &flow, latch_of(&flow).id, LATCH_REASON_ADMIN, NULL),
		     LATCH_CONTROL_DONE);
	delete_both(&d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_ADMIN);
}

Test(conflict, a_latch_heals_only_when_all_key_managers_of_its_namespace_are_synced)
{
	latch_to_c_breaks();
	attach(&pluto, &ns);
	delete_both(&d);
	attribution_reconcile(attribution);
	attribution_latch_created(attribution, &flow);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	snapshot(&pluto, NULL, NULL);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

Test(conflict, no_latch_heals_while_the_key_manager_is_lost)
{
	latch_to_c_breaks();
	set_feed_state(&charon, FEED_STATE_LOST);
	delete_both(&d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	attach(&charon, &ns);
	snapshot(&charon, &c, NULL);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* A new latchd knows of no conflict before the first report. */
Test(conflict, no_latch_heals_before_a_key_manager_is_attached)
{
	latch_to_c_breaks();
	restart_latchd();
	attribution_reconcile(attribution);
	attribution_latch_created(attribution, &flow);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	attach(&charon, &ns);
	snapshot(&charon, &c, &d);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect_eq(seen.healed, 0);
}

Test(conflict, a_key_manager_of_another_namespace_heals_no_latch)
{
	struct namespace other;

	latch_to_c_breaks();
	restart_latchd();
	namespace_start(&other);
	attach(&pluto, &other);
	snapshot(&pluto, NULL, NULL);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect_eq(seen.healed, 0);
	namespace_end(&other);
}

/* ---- latches created in a conflict */

Test(conflict, R_2_3_7_a_latch_created_before_its_sa_was_marked_contested_breaks)
{
	struct latch_flow apart;

	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	cr_expect_eq(seen.broken, 0);
	flow = latch_at(1000, ns.cookie, in_params(&c));
	apart = flow_at(1001, ns.cookie);
	attribution_latch_created(attribution, &flow);
	attribution_latch_created(attribution, &apart);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.got, in_params(&d));
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

/* The event of the new latch is lost. */
Test(conflict, R_2_3_7_reconcile_breaks_every_latch_in_conflict)
{
	struct latch_flow of_c, of_d;

	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	of_c = latch_at(1000, ns.cookie, in_params(&c));
	of_d = latch_at(1001, ns.cookie, in_params(&d));
	attribution_reconcile(attribution);
	cr_expect_eq(seen.broken, 2);
	cr_expect_eq(latch_state_of(&of_c), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_state_of(&of_d), LATCH_STATE_BROKEN);
}

Test(conflict, a_new_latch_without_a_conflict_stays_established)
{
	latch_to_c();
	attribution_latch_created(attribution, &flow);
	attribution_reconcile(attribution);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken + seen.healed, 0);
}

/* ---- equal addresses, equal SPIs, two namespaces */

Test(conflict, equal_addresses_and_spis_in_two_namespaces_do_not_conflict)
{
	struct latch_sa_key theirs;
	struct latch_flow other_flow;
	struct namespace other;

	namespace_start(&other);
	d.spi_in = c.spi_in;
	d.spi_out = c.spi_out;
	attach(&pluto, &other);
	snapshot(&pluto, NULL, NULL);
	latch_to_c();
	theirs = in_key(&d, other.cookie);
	install_in(&d, other.cookie);
	install_out(&d, other.cookie);
	up(&pluto, &d);
	cr_expect_eq(state_of(&theirs), LATCH_SA_BOUND);
	cr_expect_eq(seen.bound_netns, other.cookie);
	cr_expect_neq(sa_at(&theirs).word.params, in_params(&c));
	other_flow = latch_at(1000, other.cookie, sa_at(&theirs).word.params);
	attribution_reconcile(attribution);
	cr_expect_eq(seen.broken, 0);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_state_of(&other_flow), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&c));
	expect_states(&c, LATCH_SA_BOUND);
	down(&pluto, &d);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(state_of(&theirs), LATCH_SA_DYING);
	namespace_end(&other);
}
