/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pending SAs that the gates need not wait for: their key manager has reported them, and the peer
 * is decided to be unproven. Every other pending SA is waited for. C and D are at one address.
 */
#include "attribution_fixture.h"
#include "latchd/sa/attribution_parts.h"

TestSuite(unproven_sas, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static void refuse_by(const char *evidence, bool decided, const struct feed_child *child)
{
	const struct feed_refusal refusal = {
		.reason = "configure it", .evidence = evidence, .decided = decided};

	sink->child_refused(sink->context, &charon, child, &refusal);
}

static void refuse(const struct feed_child *child)
{
	refuse_by("test", true, child);
}

static void list_refused(const struct feed_child *child)
{
	sink->snapshot_begin(sink->context, &charon);
	refuse_by(FEED_EVIDENCE_LIST, true, child);
	sink->snapshot_end(sink->context, &charon);
}

static void list_proven(const struct feed_child *child)
{
	sink->child_up(sink->context, &charon, child, FEED_EVIDENCE_LIST);
}

static bool is_unproven(struct latch_sa_key key)
{
	return sa_at(&key).word.flags & LATCH_SA_UNPROVEN;
}

static bool in_is_unproven(const struct feed_child *child)
{
	return is_unproven(in_key(child, ns.cookie));
}

static bool out_is_unproven(const struct feed_child *child)
{
	return is_unproven(out_key(child, ns.cookie));
}

static void expect_unproven(const struct feed_child *child)
{
	expect_states(child, LATCH_SA_PENDING);
	cr_expect(in_is_unproven(child));
	cr_expect(out_is_unproven(child));
}

static void expect_awaited(const struct feed_child *child)
{
	expect_states(child, LATCH_SA_PENDING);
	cr_expect_not(in_is_unproven(child));
	cr_expect_not(out_is_unproven(child));
}

static struct feed_child c, d;

static void install_refused_peer(void)
{
	d = child_of("d.example", 2);
	install_both(&d);
}

/* The outbound SPI that D chooses is C's. */
static void choose_spi_of_c(void)
{
	c = child_of("c.example", 1);
	d = child_of("d.example", 2);
	d.spi_out = c.spi_out;
}

Test(unproven_sas, an_event_with_a_decided_peer_marks_both_sas_at_once)
{
	install_refused_peer();
	expect_awaited(&d);
	refuse(&d);
	expect_unproven(&d);
	refuse(&d);
	expect_unproven(&d);
}

/* No room, or no memory: the peer may be an honest one. */
Test(unproven_sas, a_refusal_for_the_moment_marks_none)
{
	install_refused_peer();
	refuse_by("test", false, &d);
	expect_awaited(&d);
	refuse_by(FEED_EVIDENCE_LIST, false, &d);
	expect_awaited(&d);
}

/* Each list has all refused pairs again. Without its program each call would fail. */
Test(unproven_sas, a_pair_that_is_marked_costs_no_further_call_to_the_kernel)
{
	int control = maps.control;

	logged.wanted = "not marked as unproven";
	install_refused_peer();
	maps.control = -1;
	refuse(&d);
	cr_expect_eq(logged.count, 1);
	maps.control = control;
	refuse(&d);
	maps.control = -1;
	refuse(&d);
	list_refused(&d);
	maps.control = control;
	cr_expect_eq(logged.count, 1);
	expect_unproven(&d);
}

Test(unproven_sas, a_list_marks_the_sas_from_before_it_began)
{
	install_refused_peer();
	list_refused(&d);
	expect_unproven(&d);
}

/* charon may have written that part of the list before. */
Test(unproven_sas, a_list_marks_no_sa_from_after_it_began_and_the_next_one_does)
{
	sink->snapshot_begin(sink->context, &charon);
	install_refused_peer();
	refuse_by(FEED_EVIDENCE_LIST, true, &d);
	sink->snapshot_end(sink->context, &charon);
	expect_awaited(&d);
	list_refused(&d);
	expect_unproven(&d);
}

Test(unproven_sas, the_sas_of_other_peers_are_still_waited_for)
{
	c = child_of("c.example", 1);
	install_both(&c);
	install_refused_peer();
	refuse(&d);
	expect_unproven(&d);
	expect_awaited(&c);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
}

Test(unproven_sas, a_peer_that_is_proven_later_has_its_sas_bound_without_the_mark)
{
	install_refused_peer();
	refuse(&d);
	up(&charon, &d);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_not(in_is_unproven(&d));
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, a_later_list_with_a_proven_peer_binds_the_sas)
{
	install_refused_peer();
	list_refused(&d);
	snapshot(&charon, &d, NULL);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_not(in_is_unproven(&d));
}

/* As a new configuration binds what the former latchd has refused. */
Test(unproven_sas, the_next_latchd_binds_the_sas)
{
	install_refused_peer();
	refuse(&d);
	restart_latchd();
	attach(&charon, &ns);
	expect_unproven(&d);
	snapshot(&charon, &d, NULL);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_not(in_is_unproven(&d));
}

/* Their time begins again. The next report is of SAs without a peer, as any refused ones. */
Test(unproven_sas, sas_that_lose_their_peer_by_an_event_are_waited_for_until_the_next_one)
{
	d = child_of("d.example", 2);
	install_and_report(&charon, &d);
	refuse(&d);
	expect_awaited(&d);
	refuse(&d);
	expect_unproven(&d);
}

Test(unproven_sas, sas_that_lose_their_peer_by_a_list_are_waited_for_until_the_next_one)
{
	d = child_of("d.example", 2);
	install_and_report(&charon, &d);
	list_refused(&d);
	expect_awaited(&d);
	list_refused(&d);
	expect_unproven(&d);
}

/* Only one of the two was bound. */
Test(unproven_sas, a_pair_that_loses_the_peer_of_one_sa_is_waited_for_until_the_next_report)
{
	struct latch_sa_key out;

	d = child_of("d.example", 2);
	install_and_report(&charon, &d);
	out = out_key(&d, ns.cookie);
	cr_assert_eq(sa_set(&maps, &out, sa_at(&out).word.serial, LATCH_SA_PENDING, 0, false),
		     LATCH_CONTROL_DONE);
	refuse(&d);
	expect_awaited(&d);
}

/* ---- SPIs that are used again */

Test(unproven_sas, an_sa_that_has_the_spi_next_is_waited_for)
{
	install_refused_peer();
	refuse(&d);
	delete_both(&d);
	install_both(&d);
	expect_awaited(&d);
}

/* latchd has not seen the end of the first one. */
Test(unproven_sas, an_sa_that_has_the_spi_next_is_waited_for_when_events_are_lost)
{
	struct latch_sa_key in, out;

	install_refused_peer();
	refuse(&d);
	in = in_key(&d, ns.cookie);
	out = out_key(&d, ns.cookie);
	delete_without_event(&in);
	delete_without_event(&out);
	install_both(&d);
	attribution_sa_pending(attribution, &in);
	attribution_sa_pending(attribution, &out);
	expect_awaited(&d);
}

/* The event of D's pair is late: its outbound SA is gone, and C's pair has the SPI. */
Test(unproven_sas, an_event_does_not_mark_an_outbound_sa_of_a_later_pair)
{
	choose_spi_of_c();
	install_in(&d, ns.cookie);
	install_both(&c);
	refuse(&d);
	cr_expect(in_is_unproven(&d));
	expect_awaited(&c);
}

Test(unproven_sas, a_list_does_not_mark_an_outbound_sa_from_after_it_began)
{
	choose_spi_of_c();
	install_in(&d, ns.cookie);
	sink->snapshot_begin(sink->context, &charon);
	install_both(&c);
	refuse_by(FEED_EVIDENCE_LIST, true, &d);
	sink->snapshot_end(sink->context, &charon);
	cr_expect(in_is_unproven(&d));
	expect_awaited(&c);
}

Test(unproven_sas, a_pair_whose_outbound_sa_was_deleted_marks_no_outbound_sa)
{
	install_refused_peer();
	d.outbound_gone = true;
	refuse(&d);
	cr_expect(in_is_unproven(&d));
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, a_report_without_its_inbound_sa_marks_none)
{
	d = child_of("d.example", 2);
	install_out(&d, ns.cookie);
	refuse(&d);
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, a_report_with_an_inbound_sa_of_another_peer_marks_none)
{
	choose_spi_of_c();
	install_in(&c, ns.cookie);
	up(&charon, &c);
	cr_assert_eq(in_state(&c), LATCH_SA_BOUND);
	install_out(&c, ns.cookie);
	d = c;
	strcpy(d.peer_id, "d.example");
	refuse(&d);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_not(in_is_unproven(&c));
	cr_expect_not(out_is_unproven(&c));
}

static void install_late(const struct feed_child *child)
{
	struct latch_sa_key out = out_key(child, ns.cookie);

	install_out(child, ns.cookie);
	attribution_sa_pending(attribution, &out);
}

/* Before C's first report, or when C has come to D's address: the list names D first. */
Test(unproven_sas, a_list_does_not_mark_an_outbound_sa_of_another_peer_before_it_names_that_one)
{
	choose_spi_of_c();
	install_in(&d, ns.cookie);
	install_both(&c);
	sink->snapshot_begin(sink->context, &charon);
	refuse_by(FEED_EVIDENCE_LIST, true, &d);
	cr_expect(in_is_unproven(&d));
	expect_awaited(&c);
	list_proven(&c);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&c, LATCH_SA_BOUND);
}

/* C's SA alone is in the kernel anew, and it is the next one after D's. */
static void renew_behind_refused_peer(void)
{
	struct latch_sa_key out;

	choose_spi_of_c();
	install_and_report(&charon, &c);
	install_in(&d, ns.cookie);
	out = out_key(&c, ns.cookie);
	delete_sa(&out);
	install_late(&c);
}

Test(unproven_sas, an_event_does_not_mark_a_renewed_outbound_sa_of_a_known_pair)
{
	struct latch_sa_key out;

	renew_behind_refused_peer();
	out = out_key(&c, ns.cookie);
	refuse(&d);
	cr_expect(in_is_unproven(&d));
	cr_expect_not(out_is_unproven(&c));
	cr_expect_null(attribution_refusal(attribution, &out));
}

Test(unproven_sas, a_list_does_not_mark_a_renewed_outbound_sa_of_a_known_pair)
{
	renew_behind_refused_peer();
	sink->snapshot_begin(sink->context, &charon);
	refuse_by(FEED_EVIDENCE_LIST, true, &d);
	cr_expect(in_is_unproven(&d));
	cr_expect_not(out_is_unproven(&c));
	list_proven(&c);
	sink->snapshot_end(sink->context, &charon);
	cr_expect_not(out_is_unproven(&c));
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
}

/* ---- the responder of a rekey installs its outbound SA last */

static void install_in_of_refused_peer(void)
{
	d = child_of("d.example", 2);
	install_in(&d, ns.cookie);
	refuse(&d);
	cr_assert(in_is_unproven(&d));
}

/* C's report has come, and C's outbound SA comes now. */
Test(unproven_sas, a_later_outbound_sa_of_a_known_pair_is_waited_for)
{
	choose_spi_of_c();
	install_in(&c, ns.cookie);
	install_in(&d, ns.cookie);
	refuse(&d);
	cr_expect(in_is_unproven(&d));
	up(&charon, &c);
	install_late(&c);
	cr_expect_not(out_is_unproven(&c));
	sink->snapshot_begin(sink->context, &charon);
	list_proven(&c);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&c, LATCH_SA_BOUND);
}

/* latchd has not seen the end of the inbound SA. */
Test(unproven_sas, a_pair_whose_inbound_sa_is_gone_without_an_event_marks_no_outbound_sa)
{
	struct latch_sa_key in;

	install_in_of_refused_peer();
	in = in_key(&d, ns.cookie);
	delete_without_event(&in);
	install_late(&d);
	cr_expect_not(out_is_unproven(&d));
}

/* Another SA has the same key. */
Test(unproven_sas, a_pair_whose_inbound_sa_shares_its_entry_marks_no_outbound_sa)
{
	struct latch_sa_key in;
	struct latch_sa sa;

	install_in_of_refused_peer();
	in = in_key(&d, ns.cookie);
	sa = sa_at(&in);
	sa.word.flags |= LATCH_SA_AMBIGUOUS;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &in, &sa, BPF_EXIST), 0);
	install_late(&d);
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, a_pair_whose_inbound_sa_lost_its_mark_marks_no_outbound_sa)
{
	struct latch_sa_key in;

	install_in_of_refused_peer();
	in = in_key(&d, ns.cookie);
	cr_assert_eq(sa_set(&maps, &in, sa_at(&in).word.serial, LATCH_SA_PENDING, 0, false),
		     LATCH_CONTROL_DONE);
	install_late(&d);
	cr_expect_not(out_is_unproven(&d));
}

/* The report says that the outbound SA was deleted: the SPI is another SA's then. */
Test(unproven_sas, a_pair_that_was_left_without_outbound_sa_marks_no_later_one)
{
	install_in_of_refused_peer();
	d.outbound_gone = true;
	refuse(&d);
	install_late(&d);
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, an_outbound_sa_that_comes_after_the_report_is_marked_at_once)
{
	d = child_of("d.example", 2);
	install_in(&d, ns.cookie);
	refuse(&d);
	install_late(&d);
	expect_unproven(&d);
}

Test(unproven_sas, an_outbound_sa_that_comes_behind_another_peers_sa_is_waited_for)
{
	choose_spi_of_c();
	install_in(&d, ns.cookie);
	refuse(&d);
	install_in(&c, ns.cookie);
	install_late(&d);
	cr_expect_not(out_is_unproven(&d));
	cr_expect_not(in_is_unproven(&c));
	list_refused(&d);
	cr_expect_not(out_is_unproven(&d), "an older SA is not the one of the pair by that");
}

Test(unproven_sas, a_pair_that_has_ended_marks_no_outbound_sa)
{
	struct latch_sa_key in;

	d = child_of("d.example", 2);
	install_in(&d, ns.cookie);
	refuse(&d);
	in = in_key(&d, ns.cookie);
	delete_sa(&in);
	install_late(&d);
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, a_pair_that_is_proven_meanwhile_marks_no_outbound_sa)
{
	d = child_of("d.example", 2);
	install_in(&d, ns.cookie);
	refuse(&d);
	up(&charon, &d);
	install_late(&d);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_not(out_is_unproven(&d));
}

Test(unproven_sas, a_pair_that_was_refused_for_the_moment_marks_no_outbound_sa)
{
	d = child_of("d.example", 2);
	install_in(&d, ns.cookie);
	refuse_by("test", false, &d);
	install_late(&d);
	expect_awaited(&d);
}
