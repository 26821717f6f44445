/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPIs that are used again, and reports that arrive too late. C and D are two
 * peers at one address; the peer chooses the outbound SPI, W the inbound one:
 *
 *   W  <-- in: SPI 1 --  C      out: SPI 0x80000001
 *   W  <-- in: SPI 2 --  D      out: its own, or C's
 */
#include "attribution_fixture.h"

TestSuite(spi_reuse, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

/* D chooses W's outbound SPI to D, and may choose the SPI that C had. */
static void check_reused_spi(bool deleted)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	if (deleted)
		down(&charon, &c);
	delete_without_event(&in);
	delete_without_event(&out);
	install_out(&c, ns.cookie);
	attribution_sa_gone(attribution, &in);
	attribution_sa_gone(attribution, &out);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	cr_expect_eq(sa_at(&out).word.params, 0);
}

Test(spi_reuse, a_reused_spi_is_not_attributed_to_the_old_peer)
{
	check_reused_spi(false);
}

Test(spi_reuse, a_reused_spi_of_a_deleted_child_sa_is_not_attributed_to_the_old_peer)
{
	check_reused_spi(true);
}

/* No event reports the change, and the inbound SA is still the old one. D is not reported yet. */
Test(spi_reuse, a_reused_outbound_spi_stays_pending_when_events_are_lost)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	delete_without_event(&out);
	install_in(&d, ns.cookie);
	install_out(&c, ns.cookie);
	attribution_reconcile(attribution);
	attribution_sa_pending(attribution, &out);
	up(&charon, &c);
	snapshot(&charon, &c, NULL);
	set_feed_state(&charon, FEED_STATE_LOST);
	cr_expect_eq(in_state(&c), LATCH_SA_ORPHAN);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
}

/* ---- an outbound SA that is recorded anew, and the inbound SA is the old one */

static void renew_outbound(const struct feed_child *child)
{
	struct latch_sa_key out = out_key(child, ns.cookie);

	delete_without_event(&out);
	install_out(child, ns.cookie);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(out_state(child), LATCH_SA_PENDING);
}

/* Its key manager has migrated it, or its entry was lost. */
Test(spi_reuse, an_outbound_sa_that_is_recorded_anew_alone_is_bound_by_the_next_list)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	renew_outbound(&c);
	up(&charon, &c);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING, "a report may be older than the SA");
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(sa_at(&out).word.params, in_params(&c));
}

Test(spi_reuse, an_outbound_sa_that_is_recorded_anew_is_not_bound_by_a_list_from_before)
{
	struct feed_child c = child_of("c.example", 1);

	install_and_report(&charon, &c);
	sink->snapshot_begin(sink->context, &charon);
	renew_outbound(&c);
	up(&charon, &c);
	sink->snapshot_end(sink->context, &charon);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
}

/* D's inbound SA found no room in the table: nothing there shows that D has a pair. */
Test(spi_reuse, an_outbound_sa_that_two_pairs_of_a_list_name_is_not_bound_to_the_earlier_one)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	d.spi_out = c.spi_out;
	install_and_report(&charon, &c);
	renew_outbound(&c);
	snapshot(&charon, &c, &d);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	snapshot(&charon, &d, &c);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
}

/* D is refused, at the same address. Its inbound SA is older than C's new outbound one. */
static struct feed_child refused_peer(const struct feed_child *c, uint32_t spi_out)
{
	struct feed_child d = child_of("d.example", 2);

	install_and_report(&charon, c);
	d.spi_out = spi_out ? spi_out : d.spi_out;
	install_in(&d, ns.cookie);
	renew_outbound(c);
	return d;
}

static void list_refused(const struct feed_child *c, const struct feed_child *d)
{
	sink->snapshot_begin(sink->context, &charon);
	sink->child_refused(sink->context, &charon, d,
			    &(struct feed_refusal){.reason = "configure it", .evidence = "test"});
	up(&charon, c);
	sink->snapshot_end(sink->context, &charon);
}

Test(spi_reuse, a_pair_of_a_refused_peer_at_the_same_address_delays_no_renewed_outbound_sa)
{
	struct feed_child c = child_of("c.example", 1), d = refused_peer(&c, 0);

	list_refused(&c, &d);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(in_state(&d), LATCH_SA_PENDING);
}

Test(spi_reuse, an_outbound_sa_that_a_refused_pair_names_is_not_renewed)
{
	struct feed_child c = child_of("c.example", 1), d = refused_peer(&c, c.spi_out);

	list_refused(&c, &d);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
}

Test(spi_reuse, an_unreported_inbound_sa_from_the_same_host_keeps_an_outbound_sa_from_being_renewed)
{
	struct feed_child c = child_of("c.example", 1);

	refused_peer(&c, 0);
	snapshot(&charon, &c, NULL);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
}

Test(spi_reuse, an_inbound_sa_of_another_proposal_delays_no_renewed_outbound_sa)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&d, ns.cookie);
	struct latch_sa sa = sa_from(d.remote_host, true);

	install_and_report(&charon, &c);
	sa.qop.encryption_bits = 160;
	install(&key, sa);
	renew_outbound(&c);
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
}

/* ---- after a rekey: the old pair is listed for a while, and its outbound SA is deleted at once */

static struct feed_child without_outbound(const struct feed_child *c)
{
	struct feed_child child = *c;

	child.outbound_gone = true;
	return child;
}

/* R is refused, at C's address: an SA of its own has the SPI. */
static void expect_only_inbound(const struct feed_child *c)
{
	struct latch_sa_key out = out_key(c, ns.cookie);

	cr_expect_eq(in_state(c), LATCH_SA_BOUND);
	cr_expect_eq(out_state(c), LATCH_SA_PENDING);
	cr_expect_eq(sa_at(&out).word.params, 0);
}

Test(spi_reuse, an_outbound_sa_under_the_spi_of_a_rekeyed_pair_is_not_renewed)
{
	struct feed_child c = child_of("c.example", 1), old = without_outbound(&c);

	install_and_report(&charon, &c);
	renew_outbound(&c);
	snapshot(&charon, &old, NULL);
	snapshot(&charon, &old, NULL);
	expect_only_inbound(&c);
}

/* latchd has started meanwhile, and has never seen the outbound SA of the pair. */
Test(spi_reuse, an_outbound_sa_under_the_spi_of_a_rekeyed_pair_is_not_attributed_after_a_restart)
{
	struct feed_child c = child_of("c.example", 1), old = without_outbound(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_in(&c, ns.cookie);
	install_out(&c, ns.cookie);
	restart_latchd();
	attach(&charon, &ns);
	snapshot(&charon, &old, NULL);
	snapshot(&charon, &old, NULL);
	attribution_sa_pending(attribution, &out);
	expect_only_inbound(&c);
}

Test(spi_reuse, a_rekeyed_pair_still_receives_on_its_old_inbound_sa)
{
	struct feed_child c = child_of("c.example", 1), next = child_of("c.example", 2);
	struct feed_child old = without_outbound(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	install_and_report(&charon, &next);
	snapshot(&charon, &old, &next);
	expect_states(&c, LATCH_SA_BOUND);
	delete_sa(&out);
	snapshot(&charon, &next, &old);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_eq(in_params(&c), in_params(&next));
	expect_states(&next, LATCH_SA_BOUND);
}

/* It lost its entry, as an impostor's over the share of those without a peer, and a dump found it
 * again, alone. */
Test(spi_reuse, an_outbound_sa_that_a_dump_has_found_is_not_renewed)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key out = out_key(&c, ns.cookie);
	struct latch_sa sa;

	install_and_report(&charon, &c);
	renew_outbound(&c);
	sa = sa_at(&out);
	sa.instance = 0;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &out, &sa, BPF_EXIST), 0);
	snapshot(&charon, &c, NULL);
	snapshot(&charon, &c, NULL);
	expect_only_inbound(&c);
}

/* The key manager reports the pair again: both SPIs are reused for the same peer. */
Test(spi_reuse, a_reused_spi_pair_is_bound_only_when_reported_again)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	delete_without_event(&in);
	delete_without_event(&out);
	install_both(&c);
	attribution_sa_pending(attribution, &in);
	attribution_sa_pending(attribution, &out);
	expect_states(&c, LATCH_SA_PENDING);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
}

static void replace_inbound(void)
{
	struct feed_child d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&d, ns.cookie);

	delete_without_event(&key);
	install_in(&d, ns.cookie);
}

/* While the latches break, another SA replaces the reported SA. */
Test(spi_reuse, an_sa_replaced_while_latches_break_stays_pending)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	install_and_report(&charon, &c);
	latch_at(1000, ns.cookie, in_params(&c));
	install_both(&d);
	seen.on_break = replace_inbound;
	up(&charon, &d);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(in_state(&d), LATCH_SA_PENDING);
}

/* The key now belongs to another CHILD_SA: the old one and its conflicts have ended. */
Test(spi_reuse, conflicts_of_a_replaced_child_sa_end_with_it)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed_child other = child_of("e.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);
	struct latch_flow flow;

	install_and_report(&charon, &d);
	flow = latch_at(1000, ns.cookie, in_params(&d));
	install_and_report(&charon, &c);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&d));
	delete_without_event(&in);
	delete_without_event(&out);
	other.spi_out = 0x80000077;
	other.remote_ts = selectors("10.9.0.3/32");
	install_and_report(&charon, &other);
	cr_expect_not(is_contested(&d));
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

Test(spi_reuse, an_unbound_deleted_child_sa_is_removed_with_its_sa)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	install_out(&c, ns.cookie);
	up(&charon, &c);
	down(&charon, &c);
	delete_sa(&out);
	install_both(&c);
	attribution_sa_pending(attribution, &out);
	attribution_sa_pending(attribution, &in);
	expect_states(&c, LATCH_SA_PENDING);
}

static bool snapshot_was_requested(void)
{
	return charon.resyncs > 0;
}

/* A CHILD_SA has the key, but another SA. */
Test(spi_reuse, a_new_sa_under_a_known_key_requests_a_snapshot)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	delete_without_event(&out);
	install_out(&c, ns.cookie);
	attribution_sa_pending(attribution, &out);
	wait_until(snapshot_was_requested);
}

/* ---- two CHILD_SAs reported with the same outbound SA */

static struct feed_child with_outbound_spi_of(const struct feed_child *c)
{
	struct feed_child d = child_of("d.example", 2);

	d.spi_out = c->spi_out;
	return d;
}

/* C has rekeyed: the key manager still reports the old CHILD_SA without its outbound SA. D chooses
 * its SPI. */
static void check_old_child_listed(bool restarted, bool new_first)
{
	struct feed_child c = child_of("c.example", 1), d = with_outbound_spi_of(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_and_report(&charon, &c);
	delete_sa(&out);
	install_both(&d);
	if (restarted) {
		restart_latchd();
		attach(&charon, &ns);
	}
	snapshot(&charon, new_first ? &d : &c, new_first ? &c : &d);
	snapshot(&charon, new_first ? &d : &c, new_first ? &c : &d);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_eq(sa_at(&out).word.params, in_params(&d));
	cr_expect_neq(in_params(&d), in_params(&c));
}

Test(spi_reuse, an_old_child_sa_listed_first_does_not_get_the_new_outbound_sa)
{
	check_old_child_listed(false, false);
}

Test(spi_reuse, an_old_child_sa_listed_last_does_not_get_the_new_outbound_sa)
{
	check_old_child_listed(false, true);
}

Test(spi_reuse, an_old_child_sa_listed_first_after_a_restart_does_not_get_the_new_outbound_sa)
{
	check_old_child_listed(true, false);
}

Test(spi_reuse, an_old_child_sa_listed_last_after_a_restart_does_not_get_the_new_outbound_sa)
{
	check_old_child_listed(true, true);
}

/* By MOBIKE D moves to C's address with C's SPI: the kernel refuses the SA, and charon may report
 * it all the same. */
static void check_outbound_spi_in_use(bool restarted)
{
	struct feed_child c = child_of("c.example", 1), d = with_outbound_spi_of(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);
	struct latch_flow flow;
	uint16_t params;

	install_and_report(&charon, &c);
	params = in_params(&c);
	flow = latch_at(1000, ns.cookie, params);
	d.remote_ts = selectors("10.7.0.1/32");
	install_in(&d, ns.cookie);
	if (restarted) {
		restart_latchd();
		attach(&charon, &ns);
	}
	snapshot(&charon, &c, &d);
	cr_expect_eq(sa_at(&out).word.params, params);
	snapshot(&charon, &d, &c);
	cr_expect_eq(sa_at(&out).word.params, params);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

Test(spi_reuse, a_newer_child_sa_does_not_get_an_older_outbound_sa)
{
	check_outbound_spi_in_use(false);
}

Test(spi_reuse, a_newer_child_sa_does_not_get_an_older_outbound_sa_after_a_restart)
{
	check_outbound_spi_in_use(true);
}

static void list(const struct feed_child *child)
{
	sink->child_up(sink->context, &charon, child, FEED_EVIDENCE_LIST);
}

/*
 * Simulation, seed 680 of 2026-11-30: the pair was rekeyed and its outbound SA deleted after charon
 * had made the list. Another pair has its SPI.
 */
Test(spi_reuse, an_outbound_sa_installed_after_a_list_began_is_not_that_of_a_pair_that_it_names)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	install_in(&c, ns.cookie);
	sink->snapshot_begin(sink->context, &charon);
	install_out(&c, ns.cookie);
	list(&c);
	sink->snapshot_end(sink->context, &charon);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	cr_expect_eq(sa_at(&out).word.params, 0);
}

Test(spi_reuse, an_outbound_sa_installed_after_a_list_began_is_bound_by_the_next_list_or_an_event)
{
	struct feed_child c = child_of("c.example", 1), next = child_of("c.example", 2);

	sink->snapshot_begin(sink->context, &charon);
	install_both(&c);
	install_both(&next);
	list(&c);
	up(&charon, &next);
	list(&next);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&next, LATCH_SA_BOUND);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	sink->snapshot_begin(sink->context, &charon);
	list(&c);
	list(&next);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&c, LATCH_SA_BOUND);
}

/* Simulation, seed 4818 of 2026-11-29. The outbound SA of the deleted pair was never seen. */
Test(spi_reuse, an_outbound_sa_installed_after_its_pair_was_deleted_is_another_peers)
{
	struct feed_child gone = child_of("e.example", 7);
	struct latch_sa_key out = out_key(&gone, ns.cookie);

	install_in(&gone, ns.cookie);
	up(&charon, &gone);
	down(&charon, &gone);
	cr_expect_eq(in_state(&gone), LATCH_SA_DYING);
	install_out(&gone, ns.cookie);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(out_state(&gone), LATCH_SA_PENDING);
	cr_expect_eq(sa_at(&out).word.params, 0);
}

Test(spi_reuse, an_outbound_sa_installed_after_its_key_manager_was_lost_is_another_peers)
{
	struct feed_child gone = child_of("e.example", 7);
	struct latch_sa_key out = out_key(&gone, ns.cookie);

	install_in(&gone, ns.cookie);
	up(&charon, &gone);
	set_feed_state(&charon, FEED_STATE_LOST);
	install_out(&gone, ns.cookie);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(sa_at(&out).word.params, 0);
}

/* C's pair is rekeyed before latchd reads the event of it, and D has chosen the free SPI. */
Test(spi_reuse, an_event_that_is_read_late_binds_no_outbound_sa_of_a_later_pair)
{
	struct feed_child c = child_of("c.example", 1), d = with_outbound_spi_of(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	snapshot(&charon, NULL, NULL);
	install_both(&c);
	delete_without_event(&out);
	install_both(&d);
	up(&charon, &c);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(sa_at(&out).word.params, 0);
	up(&charon, &d);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_eq(sa_at(&out).word.params, in_params(&d));
}

/* Two IKE_SAs with one host, as of peers behind one NAT. */
Test(spi_reuse, pairs_that_were_installed_at_once_are_bound_by_the_next_list)
{
	struct feed_child one = child_of("c.example", 1), two = child_of("c.example", 2);

	snapshot(&charon, NULL, NULL);
	install_in(&one, ns.cookie);
	install_in(&two, ns.cookie);
	install_out(&one, ns.cookie);
	install_out(&two, ns.cookie);
	up(&charon, &one);
	up(&charon, &two);
	cr_expect_eq(in_state(&one), LATCH_SA_BOUND);
	cr_expect_eq(in_state(&two), LATCH_SA_BOUND);
	cr_expect_eq(out_state(&one), LATCH_SA_PENDING);
	wait_until(snapshot_was_requested);
	sink->snapshot_begin(sink->context, &charon);
	list(&one);
	list(&two);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&one, LATCH_SA_BOUND);
	expect_states(&two, LATCH_SA_BOUND);
}
