/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CHILD_SAs of a peer that is not proven: an SA that was bound to it before loses the peer, as
 * after a statement that was taken back. Other SAs keep theirs. latchctl sa has the reason.
 */
#include "attribution_fixture.h"
#include "latchd/sa/refused_sas.h"

TestSuite(refused_sas, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static void refuse(struct feed *feed, const struct feed_child *child)
{
	sink->child_refused(sink->context, feed, child, "configure it");
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

Test(refused_sas, the_number_of_reasons_is_bounded_and_the_last_ones_stay)
{
	struct refused_sas refused = {0};
	struct latch_sa_key key = {.spi = 1};

	for (; key.spi <= REFUSED_SAS_MAX + 1; key.spi++)
		refused_sas_note(&refused, &key, "why");
	key.spi = 1;
	cr_expect_null(refused_sas_reason(&refused, &key));
	key.spi = 2;
	cr_expect_not_null(refused_sas_reason(&refused, &key));
	key.spi = REFUSED_SAS_MAX + 1;
	cr_expect_not_null(refused_sas_reason(&refused, &key));
	refused_sas_clear(&refused);
}
