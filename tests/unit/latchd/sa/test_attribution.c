/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One synced key manager: the attribution of SAs to peers, and the order of breaks
 * and bindings. C and D are two peers at one address with the same selectors:
 *
 *   W 10.9.0.1 --- 10.9.0.2  c.example (SPI 1), d.example (SPI 2)
 */
#include "attribution_fixture.h"
#include "latchd/sa/attribution_parts.h"

TestSuite(attribution, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

Test(attribution, a_reported_child_sa_is_bound_to_its_peer)
{
	struct feed_child c = child_of("c.example", 1);
	const struct latch_params *params;
	const struct latch_identity *peer, *local;

	install_and_report(&charon, &c);
	cr_expect_eq(seen.bound, 2);
	cr_expect_str_eq(seen.bound_feed, "charon");
	params = identities_get_params(identities, in_params(&c));
	cr_assert_not_null(params);
	peer = identities_get(identities, params->peer_id);
	local = identities_get(identities, params->local_id);
	cr_expect_str_eq(peer->id, "c.example");
	cr_expect_str_eq(peer->authority, "charon");
	cr_expect_str_eq(peer->config, "x509");
	cr_expect_eq(peer->auth, FEED_AUTH_PUBKEY);
	cr_expect_str_eq(local->id, "w.example");
	cr_expect_str_eq(params->qop.encryption, "rfc4106(gcm(aes))");
	cr_expect_eq(params->qop.replay_protection, 1);
	cr_expect_not(is_contested(&c));
}

Test(attribution, a_repeated_report_does_not_bind_again)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key = in_key(&c, ns.cookie);
	union latch_sa_word word;

	install_and_report(&charon, &c);
	word = sa_at(&key).word;
	up(&charon, &c);
	snapshot(&charon, &c, NULL);
	cr_expect_eq(sa_at(&key).word.raw, word.raw);
	cr_expect_eq(seen.bound, 2);
}

/* ---- RFC 5660 section 2.3, R-2.3-11 */

Test(attribution, R_2_3_11_a_latch_breaks_before_the_conflicting_sa_is_bound)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&d, ns.cookie);
	struct latch_flow flow;

	install_and_report(&charon, &c);
	flow = latch_at(1000, ns.cookie, in_params(&c));
	install_both(&d);
	seen.watched = &key;
	up(&charon, &d);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.watched_state, LATCH_SA_PENDING);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_SA_CONFLICT);
	cr_expect_arr_eq(&seen.flow, &flow, sizeof(flow));
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_eq(seen.got, in_params(&d));
	cr_expect_neq(in_params(&d), in_params(&c));
}

/* Both CHILD_SAs are new to this latchd, and the later report contests the earlier one. */
Test(attribution, R_2_3_11_no_sa_of_a_snapshot_is_bound_before_all_latches_break)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&d, ns.cookie);
	struct latch_flow flow;

	install_and_report(&charon, &c);
	flow = latch_at(1000, ns.cookie, in_params(&c));
	restart_latchd();
	install_both(&d);
	attach(&charon, &ns);
	seen.watched = &key;
	snapshot(&charon, &d, &c);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.watched_state, LATCH_SA_PENDING);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect(is_contested(&d));
	cr_expect(is_contested(&c));
}

static const struct feed_child *awaited_child;

static bool it_is_bound(void)
{
	return in_state(awaited_child) == LATCH_SA_BOUND;
}

/* The retry needs no further report. */
Test(attribution, a_snapshot_whose_breaks_fail_is_bound_by_a_retry)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	int control = maps.control;

	install_and_report(&charon, &c);
	latch_at(1000, ns.cookie, in_params(&c));
	restart_latchd();
	install_both(&d);
	attach(&charon, &ns);
	logged.wanted = "cannot mark SAs or break latches in conflict";
	maps.control = -1;
	snapshot(&charon, &c, &d);
	cr_expect_eq(logged.count, 1);
	expect_states(&d, LATCH_SA_PENDING);
	maps.control = control;
	awaited_child = &d;
	wait_until(it_is_bound);
	cr_expect_eq(seen.broken, 1);
}

static int working_control;
static struct feed_child to_mark;

static void work_again(void)
{
	maps.control = working_control;
}

static void expect_mark(const struct latch_sa_key *key)
{
	(void)key;
	cr_expect(is_contested(&to_mark));
}

/* The first mark fails; the inherited SA of c.example could start latches until the retry. */
Test(attribution, R_2_3_8_no_sa_of_a_snapshot_is_bound_before_all_marks_are_made)
{
	struct feed_child d = child_of("d.example", 2), e = child_of("e.example", 3);

	to_mark = child_of("c.example", 1);
	e.remote_host[3] = 3;
	e.remote_ts = selectors("10.9.0.3/32");
	install_and_report(&charon, &to_mark);
	restart_latchd();
	attach(&charon, &ns);
	install_both(&d);
	install_both(&e);
	working_control = maps.control;
	logged.wanted = "not marked as contested";
	logged.on_wanted = work_again;
	seen.on_bound = expect_mark;
	sink->snapshot_begin(sink->context, &charon);
	up(&charon, &e);
	up(&charon, &to_mark);
	up(&charon, &d);
	maps.control = -1;
	sink->snapshot_end(sink->context, &charon);
	cr_expect_eq(logged.count, 1);
	expect_states(&e, LATCH_SA_BOUND);
}

Test(attribution, R_2_3_11_the_outbound_sa_stays_pending_until_the_latch_breaks)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = out_key(&d, ns.cookie);

	install_and_report(&charon, &c);
	latch_at(1000, ns.cookie, in_params(&c));
	install_both(&d);
	seen.watched = &key;
	up(&charon, &d);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.watched_state, LATCH_SA_PENDING);
	cr_expect_eq(out_state(&d), LATCH_SA_BOUND);
}

/* Its latches in conflict are not broken: only an SA with params lets latched flows pass. */
Test(attribution, an_unsettled_sa_that_is_deleted_or_orphaned_stays_pending)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	int control = maps.control;

	install_and_report(&charon, &c);
	latch_at(1000, ns.cookie, in_params(&c));
	install_both(&d);
	maps.control = -1;
	up(&charon, &d);
	maps.control = control;
	set_feed_state(&charon, FEED_STATE_LOST);
	expect_states(&d, LATCH_SA_PENDING);
	expect_states(&c, LATCH_SA_ORPHAN);
}

/* The walk over the latches serves all CHILD_SAs of the same selectors and params. */
Test(attribution, a_second_sa_of_the_same_params_and_selectors_needs_no_walk_over_the_latches)
{
	struct feed_child c = child_of("c.example", 1), next = child_of("c.example", 2);
	int latches = maps.latches;

	install_and_report(&charon, &c);
	maps.latches = -1;
	install_and_report(&charon, &next);
	maps.latches = latches;
	cr_expect_eq(in_params(&next), in_params(&c));
}

static struct feed_child late;

static bool late_is_bound(void)
{
	return in_state(&late) == LATCH_SA_BOUND && out_state(&late) == LATCH_SA_BOUND;
}

/* The SA itself can be bound, but the latches in conflict cannot be found or broken. */
static void check_unbreakable(int *descriptor)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_flow flow;
	int was = *descriptor;

	late = child_of("d.example", 2);
	install_and_report(&charon, &c);
	flow = latch_at(1000, ns.cookie, in_params(&c));
	install_both(&late);
	logged.wanted = descriptor == &maps.control ? "not marked as contested"
						    : "cannot break the latches in conflict";
	*descriptor = -1;
	up(&charon, &late);
	*descriptor = was;
	expect_states(&late, LATCH_SA_PENDING);
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(seen.broken, 0);
	/* The loop must not run before: it would run the retry, too. */
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	/* The retry needs no further report. */
	wait_until(late_is_bound);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

Test(attribution, an_sa_stays_pending_while_the_latch_map_is_unreadable)
{
	check_unbreakable(&maps.latches);
}

Test(attribution, an_sa_stays_pending_while_the_control_program_is_unavailable)
{
	check_unbreakable(&maps.control);
}

/* ---- rekey */

Test(attribution, L_2_3_a_rekey_breaks_no_latch)
{
	struct feed_child old = child_of("c.example", 1), new = child_of("c.example", 2);
	struct latch_flow flow;

	install_and_report(&charon, &old);
	flow = latch_at(1000, ns.cookie, in_params(&old));
	install_and_report(&charon, &new);
	cr_expect_eq(in_params(&new), in_params(&old));
	expect_states(&old, LATCH_SA_BOUND);
	cr_expect_not(is_contested(&old));
	cr_expect_not(is_contested(&new));
	down(&charon, &old);
	expect_states(&old, LATCH_SA_DYING);
	delete_both(&old);
	expect_states(&new, LATCH_SA_BOUND);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

/* ---- reports before and after installation */

Test(attribution, a_child_sa_reported_before_installation_is_bound_on_installation)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	up(&charon, &c);
	cr_expect_eq(seen.bound, 0);
	install_in(&c, ns.cookie);
	attribution_sa_pending(attribution, &in);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	install_out(&c, ns.cookie);
	attribution_sa_pending(attribution, &out);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(seen.bound, 2);
}

/* The params come from the inbound SA. */
Test(attribution, an_outbound_sa_that_is_older_than_the_inbound_sa_waits_for_a_list)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie);

	install_out(&c, ns.cookie);
	up(&charon, &c);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	install_in(&c, ns.cookie);
	attribution_sa_pending(attribution, &in);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING, "its event may be older");
	sink->snapshot_begin(sink->context, &charon);
	sink->child_up(sink->context, &charon, &c, FEED_EVIDENCE_LIST);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&c, LATCH_SA_BOUND);
}

Test(attribution, reconcile_binds_a_child_sa_whose_install_event_was_lost)
{
	late = child_of("c.example", 1);
	up(&charon, &late);
	install_both(&late);
	attribution_reconcile(attribution);
	wait_until(late_is_bound);
}

static bool was_asked(void)
{
	return charon.resyncs > 0;
}

/* After all SAs are bound, no timer checks for unattributed SAs. */
Test(attribution, reconcile_requests_a_snapshot_for_an_unattributed_sa)
{
	struct feed_child c = child_of("c.example", 2);

	late = child_of("c.example", 1);
	up(&charon, &late);
	install_both(&late);
	wait_until(late_is_bound);
	cr_expect_eq(charon.resyncs, 0);
	install_in(&c, ns.cookie);
	attribution_reconcile(attribution);
	wait_until(was_asked);
}

/* ---- the kernel has another SA under this SPI */

static void check_mismatch(const struct latch_sa *in)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key = in_key(&c, ns.cookie);

	install(&key, *in);
	install_out(&c, ns.cookie);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_PENDING);
	cr_expect_eq(seen.bound, 0);
	snapshot(&charon, &c, NULL);
	attribution_sa_pending(attribution, &key);
	expect_states(&c, LATCH_SA_PENDING);
}

Test(attribution, an_inbound_sa_of_another_mode_than_reported_stays_pending)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa sa = sa_from(c.remote_host, true);

	sa.mode = XFRM_MODE_TUNNEL;
	check_mismatch(&sa);
}

Test(attribution, an_inbound_sa_with_another_source_address_stays_pending)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa sa = sa_from(c.local_host, true);

	check_mismatch(&sa);
}

static void check_outbound_mismatch(const struct latch_sa *out)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key = out_key(&c, ns.cookie);

	install_in(&c, ns.cookie);
	install(&key, *out);
	logged.wanted = "unattributed (report-mismatch)";
	up(&charon, &c);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	cr_expect_eq(sa_at(&key).word.params, 0);
	cr_expect_eq(seen.bound, 1);
	cr_expect_eq(logged.count, 1);
}

Test(attribution, an_outbound_sa_of_another_key_length_stays_pending)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa sa = sa_from(c.local_host, false);

	sa.qop.encryption_bits = 160;
	check_outbound_mismatch(&sa);
}

Test(attribution, an_outbound_sa_of_another_algorithm_stays_pending)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa sa = sa_from(c.local_host, false);

	strcpy(sa.qop.encryption, "cbc(des3_ede)");
	check_outbound_mismatch(&sa);
}

Test(attribution, an_outbound_sa_of_another_mode_stays_pending)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa sa = sa_from(c.local_host, false);

	sa.mode = XFRM_MODE_BEET;
	check_outbound_mismatch(&sa);
}

Test(attribution, an_outbound_sa_with_another_source_address_stays_pending)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa sa = sa_from(c.remote_host, false);

	check_outbound_mismatch(&sa);
}

Test(attribution, a_child_sa_with_an_identity_that_does_not_fit_stays_unattributed)
{
	struct feed_child c = child_of("c.example", 1);

	memset(charon.name, 'n', sizeof(charon.name) - 1);
	memset(c.peer_id, 'p', sizeof(c.peer_id) - 1);
	install_and_report(&charon, &c);
	c = child_of("c.example", 2);
	memset(c.peer_id, 'p', sizeof(c.peer_id));
	install_both(&c);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_PENDING);
}

/* ---- CHILD_SAs that end */

Test(attribution, a_deleted_child_sa_still_conflicts_until_the_kernel_deletes_its_sas)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&c, ns.cookie);
	struct latch_flow flow;
	uint16_t params;

	install_and_report(&charon, &c);
	params = in_params(&c);
	down(&charon, &c);
	expect_states(&c, LATCH_SA_DYING);
	cr_expect_eq(sa_at(&key).word.params, params);
	install_and_report(&charon, &d);
	cr_expect(is_contested(&c));
	cr_expect(is_contested(&d));
	flow = latch_at(1000, ns.cookie, in_params(&d));
	attribution_latch_created(attribution, &flow);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	delete_both(&c);
	cr_expect_not(is_contested(&d));
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* The peer is known, and the SA may be in use until the kernel deletes it. */
Test(attribution, a_child_sa_deleted_before_its_inbound_sa_is_installed_becomes_dying)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie);

	install_out(&c, ns.cookie);
	up(&charon, &c);
	down(&charon, &c);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	install_in(&c, ns.cookie);
	attribution_sa_pending(attribution, &in);
	cr_expect_eq(in_state(&c), LATCH_SA_DYING);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING, "its event may be older");
	cr_expect_eq(seen.bound, 0);
}

Test(attribution, only_the_reporting_key_manager_can_delete_a_child_sa)
{
	struct feed_child c = child_of("c.example", 1);

	attach(&pluto, &ns);
	snapshot(&pluto, NULL, NULL);
	install_and_report(&charon, &c);
	down(&pluto, &c);
	snapshot(&pluto, NULL, NULL);
	set_feed_state(&pluto, FEED_STATE_LOST);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_str_eq(seen.bound_feed, "charon");
}

/* An up after the down: the key manager has the CHILD_SA after all. */
static void expect_dying_then_bound(const struct feed_child *child)
{
	expect_states(child, LATCH_SA_DYING);
	up(&charon, child);
	expect_states(child, LATCH_SA_BOUND);
}

Test(attribution, a_deleted_child_sa_becomes_dying_although_its_last_report_did_not_match)
{
	struct feed_child c = child_of("c.example", 1), other = c;

	install_and_report(&charon, &c);
	other.mode = FEED_MODE_TUNNEL;
	up(&charon, &other);
	expect_states(&c, LATCH_SA_BOUND);
	down(&charon, &c);
	expect_dying_then_bound(&c);
}

/* An earlier latchd has bound it, and this one knows it from an event, but has no params yet. */
Test(attribution, a_child_sa_reported_before_the_first_snapshot_and_missing_there_becomes_dying)
{
	struct feed_child c = child_of("c.example", 1);

	install_and_report(&charon, &c);
	restart_latchd();
	attach(&charon, &ns);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
	snapshot(&charon, NULL, NULL);
	expect_dying_then_bound(&c);
}

Test(attribution, a_child_sa_missing_from_a_snapshot_becomes_dying)
{
	struct feed_child c = child_of("c.example", 1), other = child_of("c.example", 2);

	install_and_report(&charon, &c);
	install_and_report(&charon, &other);
	snapshot(&charon, &other, NULL);
	expect_states(&c, LATCH_SA_DYING);
	expect_states(&other, LATCH_SA_BOUND);
}

/* ---- tables that peers can fill */

#define HELD_BY_LATCHES 16 /* room for some more SAs */

/* One SA or latch for each params; the params differ in a number only. */
static void fill_params(uint16_t local_and_peer)
{
	struct latch_params params = {.local_id = local_and_peer, .peer_id = local_and_peer};
	struct latch_sa_key key = {.netns = ns.cookie + 1, .protocol = 50, .family = AF_INET};
	struct latch_sa sa = {.word = {.state = LATCH_SA_BOUND}};
	uint32_t i;

	for (i = 0; i < LATCH_PARAMS_MAX; i++) {
		params.qop.icv_bits = (uint16_t)i;
		if (identities_intern_params(identities, &params, &sa.word.params))
			break;
		key.spi = 1000 + i;
		if (i < HELD_BY_LATCHES)
			latch_at((uint16_t)(1000 + i), ns.cookie + 1, sa.word.params);
		else
			cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_NOEXIST), 0);
	}
	cr_assert_geq(i, LATCH_PARAMS_MAX - 1);
}

static bool it_is_logged(void)
{
	return logged.count > 0;
}

static void make_old(const struct latch_sa_key *key)
{
	struct latch_sa sa = sa_at(key);

	sa.installed -= OLD_NS;
	cr_assert_eq(bpf_map_update_elem(maps.sas, key, &sa, BPF_EXIST), 0);
}

/* The mode of the first one differs from its report, which its peer may cause for good. */
Test(attribution, the_error_of_a_list_is_one_that_a_retry_may_mend)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2),
			  differs = child_of("c.example", 3);
	struct latch_identity w = {.id = "w.example"};

	install_and_report(&charon, &c);
	strcpy(w.authority, "charon");
	fill_params((uint16_t)identities_find(identities, &w));
	install_both(&d);
	install_both(&differs);
	differs.mode = FEED_MODE_TUNNEL;
	snapshot(&charon, &differs, &d);
	cr_expect_eq(binding_bind_snapshot(&attribution->binding, &charon, false), -ENOSPC);
	snapshot(&charon, &differs, NULL);
	cr_expect_eq(binding_bind_snapshot(&attribution->binding, &charon, false), -EBADMSG);
}

Test(attribution, a_full_identity_table_binds_known_peers_now_and_new_peers_when_room_is_free)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2),
			  next = child_of("c.example", 3);
	struct latch_sa_key key = in_key(&d, ns.cookie);
	struct latch_flow freed = flow_at(1000, ns.cookie + 1);
	struct latch_identity w = {.id = "w.example"};

	install_and_report(&charon, &c);
	strcpy(w.authority, "charon");
	fill_params((uint16_t)identities_find(identities, &w));
	install_both(&d);
	up(&charon, &d);
	expect_states(&d, LATCH_SA_PENDING);
	install_and_report(&charon, &next);
	cr_expect_eq(in_params(&next), in_params(&c));
	logged.wanted = "the table of identities is full";
	make_old(&key);
	wait_until(it_is_logged);
	/* The SA is bound as soon as the table has room, without a further report. */
	cr_assert_eq(bpf_map_delete_elem(maps.latches, &freed), 0);
	awaited_child = &d;
	wait_until(it_is_bound);
}
