/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CHILD_SAs of a peer that is not proven. An SA that was bound to it before loses the peer, as
 * after a statement that was taken back. Other SAs keep theirs. latchctl sa has the reason.
 */
#include "attribution_fixture.h"
#include "latchd/sa/attribution_parts.h"

TestSuite(refused_sas, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static void refuse(struct feed *feed, const struct feed_child *child)
{
	sink->child_refused(sink->context, feed, child,
			    &(struct feed_refusal){.reason = "configure it", .evidence = "test"});
}

static const char *reason_of(const struct feed_child *child)
{
	struct latch_sa_key key = in_key(child, ns.cookie);

	return attribution_refusal(attribution, &key);
}

Test(refused_sas, a_refused_sa_has_a_reason_until_it_is_gone)
{
	struct feed_child c = child_of("c.example", 1);

	install_both(&c);
	refuse(&charon, &c);
	expect_states(&c, LATCH_SA_PENDING);
	cr_assert_not_null(reason_of(&c));
	cr_expect_str_eq(reason_of(&c), "configure it");
	delete_both(&c);
	cr_expect_null(reason_of(&c));
}

Test(refused_sas, a_report_with_a_proven_peer_binds_the_sa_and_ends_the_reason)
{
	struct feed_child c = child_of("c.example", 1);

	install_both(&c);
	refuse(&charon, &c);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_null(reason_of(&c));
}

/* The same key manager is a new feed, with other statements. */
Test(refused_sas, a_statement_that_is_taken_back_takes_the_peer_of_its_sas)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed again;

	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	attribution_feed_removed(attribution, &charon);
	settle();
	expect_states(&c, LATCH_SA_ORPHAN);
	feed_init(&again, "charon");
	attach(&again, &ns);
	sink->snapshot_begin(sink->context, &again);
	refuse(&again, &c);
	up(&again, &d);
	sink->snapshot_end(sink->context, &again);
	settle();
	expect_states(&c, LATCH_SA_PENDING);
	cr_expect_eq(in_params(&c), 0, "no latched flow uses it");
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_not(is_contested(&d), "a refused CHILD_SA contests nothing");
	set_feed_state(&again, FEED_STATE_LOST);
}

static void refuse_as(struct feed *feed, const char *name, const struct feed_child *refused,
		      const struct feed_child *proven)
{
	feed_init(feed, name);
	attach(feed, &ns);
	sink->snapshot_begin(sink->context, feed);
	refuse(feed, refused);
	up(feed, proven);
	sink->snapshot_end(sink->context, feed);
	settle();
}

/* One reload renames the feed and takes the statement back. Another feed has the former name. */
Test(refused_sas, a_feed_that_is_renamed_with_the_statement_taken_back_takes_the_peer_too)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed renamed, other, *configured[] = {&renamed, &other};

	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	attribution_feed_removed(attribution, &charon);
	feed_init(&other, "charon");
	feed_init(&renamed, "new");
	attribution_feeds_configured(attribution, configured, 2);
	settle();
	expect_states(&c, LATCH_SA_ORPHAN);
	refuse_as(&renamed, "new", &c, &d);
	expect_states(&c, LATCH_SA_PENDING);
	cr_expect_eq(in_params(&c), 0, "no latched flow uses it");
	expect_states(&d, LATCH_SA_BOUND);
	set_feed_state(&renamed, FEED_STATE_LOST);
}

/* The same over a restart: this latchd does not know the CHILD_SA. */
Test(refused_sas, an_sa_of_a_feed_that_is_not_configured_any_more_loses_its_peer)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed renamed, *configured[] = {&renamed};

	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	restart_latchd();
	feed_init(&renamed, "new");
	attribution_feeds_configured(attribution, configured, 1);
	settle();
	expect_states(&c, LATCH_SA_ORPHAN);
	refuse_as(&renamed, "new", &c, &d);
	expect_states(&c, LATCH_SA_PENDING);
	expect_states(&d, LATCH_SA_BOUND);
	set_feed_state(&renamed, FEED_STATE_LOST);
}

/* Two key managers of one namespace: the SA is of the one that this latchd has not reached yet. */
Test(refused_sas, an_sa_of_another_configured_feed_keeps_its_peer_over_a_restart)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed other, *configured[] = {&charon, &other};

	install_and_report(&charon, &c);
	restart_latchd();
	feed_init(&other, "other");
	attribution_feeds_configured(attribution, configured, 2);
	refuse_as(&other, "other", &c, &d);
	expect_states(&c, LATCH_SA_BOUND);
	set_feed_state(&other, FEED_STATE_LOST);
}

/* D chooses its outbound SPI, and reports of an ended CHILD_SA go on for a while. */
Test(refused_sas, the_outbound_sa_of_another_pair_keeps_its_peer)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	install_and_report(&charon, &c);
	d.spi_out = c.spi_out;
	refuse(&charon, &d);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_null(reason_of(&c));
}

/* Two key managers of one namespace. */
Test(refused_sas, a_child_of_another_feed_is_left_alone)
{
	struct feed_child c = child_of("c.example", 1);
	struct feed other;

	install_and_report(&charon, &c);
	feed_init(&other, "other");
	attach(&other, &ns);
	refuse(&other, &c);
	settle();
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_null(reason_of(&c));
	refuse(&charon, &c);
	expect_states(&c, LATCH_SA_PENDING);
	set_feed_state(&other, FEED_STATE_LOST);
}

Test(refused_sas, an_sa_that_is_bound_to_another_identity_keeps_it)
{
	struct feed_child c = child_of("c.example", 1), d;

	install_and_report(&charon, &c);
	down(&charon, &c);
	d = c;
	strcpy(d.peer_id, "d.example");
	refuse(&charon, &d);
	expect_states(&c, LATCH_SA_DYING);
}

/* ---- the share of SAs without a proven peer: peers choose their number */

static const struct latch_sa_key made_up = {.spi = 0x1000};

/* All places but so many are taken by SAs of this namespace. */
static void fill_share(uint64_t netns, uint32_t free_places)
{
	struct latch_sa_key key = made_up;

	key.netns = netns;
	while (refused_sas_room(&attribution->refused_sas) > free_places) {
		cr_assert(refused_sas_note(&attribution->refused_sas, &key, "why", true));
		key.spi++;
	}
}

static uint64_t over_quota(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_SAS_OVER_QUOTA];
}

static struct feed_child c, d, e;

static void three_children(void)
{
	c = child_of("c.example", 1);
	d = child_of("d.example", 2);
	e = child_of("e.example", 3);
}

Test(refused_sas, refused_sas_beyond_their_share_lose_their_places_and_a_proven_peer_has_its_own)
{
	three_children();
	fill_share(1, 2);
	install_both(&d);
	refuse(&charon, &d);
	install_both(&e);
	refuse(&charon, &e);
	expect_states(&d, LATCH_SA_PENDING);
	expect_states(&e, LATCH_SA_NONE);
	cr_expect_eq(over_quota(), 2);
	install_and_report(&charon, &c);
	refuse(&charon, &d);
	expect_states(&d, LATCH_SA_PENDING);
	delete_both(&d);
	install_both(&e);
	refuse(&charon, &e);
	expect_states(&e, LATCH_SA_PENDING);
}

/* Bound by an earlier configuration: latched flows stop in either case. */
Test(refused_sas, a_full_share_keeps_no_sa_bound)
{
	three_children();
	install_and_report(&charon, &d);
	fill_share(1, 0);
	refuse(&charon, &d);
	expect_states(&d, LATCH_SA_NONE);
}

/* The place of an SA that was refused before its peer was proven is free again. */
Test(refused_sas, a_proven_peer_takes_no_place_in_the_share_of_those_without)
{
	three_children();
	fill_share(1, 2);
	install_both(&c);
	refuse(&charon, &c);
	cr_expect_eq(refused_sas_room(&attribution->refused_sas), 0);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(refused_sas_room(&attribution->refused_sas), 2);
}

/* The report of an ended pair names the SPI that another peer has chosen since. */
Test(refused_sas, a_report_without_its_inbound_sa_takes_no_outbound_sa_from_the_table)
{
	three_children();
	fill_share(1, 0);
	install_both(&c);
	d.spi_out = c.spi_out;
	refuse(&charon, &d);
	expect_states(&c, LATCH_SA_PENDING);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
}

static bool share_has_room(void)
{
	return refused_sas_room(&attribution->refused_sas) == REFUSED_SAS_MAX;
}

Test(refused_sas, lost_events_leave_no_place_taken)
{
	fill_share(1, 0);
	attribution_reconcile(attribution);
	wait_until(share_has_room);
}

/* ---- SAs without any report */

static struct latch_sa_key install_aged(const struct feed_child *child, uint64_t age_ns)
{
	struct latch_sa_key key = in_key(child, ns.cookie);
	struct latch_sa sa = sa_from(child->remote_host, true);

	sa.installed -= age_ns;
	install(&key, sa);
	attribution_sa_pending(attribution, &key);
	return key;
}

static bool one_has_no_place(void)
{
	return in_state(&d) == LATCH_SA_NONE || in_state(&e) == LATCH_SA_NONE;
}

Test(refused_sas, an_sa_that_stays_without_a_report_for_a_minute_needs_a_place)
{
	struct latch_sa_key key;

	three_children();
	fill_share(1, 1);
	key = install_aged(&c, OLD_NS);
	install_aged(&d, 61000000000ull);
	install_aged(&e, 61000000000ull);
	wait_until(one_has_no_place);
	cr_expect(in_state(&d) == LATCH_SA_PENDING || in_state(&e) == LATCH_SA_PENDING);
	cr_expect_eq(state_of(&key), LATCH_SA_PENDING, "it may still be reported");
	up(&charon, &c);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
}

static bool d_has_no_place(void)
{
	return in_state(&d) == LATCH_SA_NONE;
}

static bool c_is_bound(void)
{
	return in_state(&c) == LATCH_SA_BOUND;
}

/* It waits for an SA of another CHILD_SA that cannot be read. */
Test(refused_sas, an_sa_of_a_known_peer_that_waits_for_a_minute_needs_no_place)
{
	three_children();
	fill_share(1, 0);
	attribution->child_sas.uncounted = 1;
	install_aged(&c, 61000000000ull);
	up(&charon, &c);
	install_aged(&d, 61000000000ull);
	wait_until(d_has_no_place);
	cr_expect_eq(in_state(&c), LATCH_SA_PENDING);
	attribution->child_sas.uncounted = 0;
	wait_until(c_is_bound);
}

static bool is_logged(void)
{
	return logged.count;
}

Test(refused_sas, the_log_has_the_same_reason_as_latchctl)
{
	three_children();
	install_aged(&c, OLD_NS);
	refuse(&charon, &c);
	logged.wanted = "unattributed (configure it)";
	wait_until(is_logged);
	cr_expect_str_eq(reason_of(&c), "configure it");
}

Test(refused_sas, the_log_says_of_an_unreported_sa_that_it_has_no_report)
{
	three_children();
	install_aged(&c, OLD_NS);
	logged.wanted = "unattributed (no key manager reports it)";
	wait_until(is_logged);
}
