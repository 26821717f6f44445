/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key manager reports the SPIs of two CHILD_SAs of one peer in wrong pairs, and later in the
 * right ones. The kernel has installed the right pairs: the first one, then the second one.
 */
#include "attribution_fixture.h"

#include "latchd/sa/attribution_parts.h"

static struct feed_child one, two;

static void start(void)
{
	fixture_start_synced();
	one = child_of("c.example", 1);
	two = child_of("c.example", 2);
	install_and_report(&charon, &one);
	install_and_report(&charon, &two);
	restart_latchd();
	attach(&charon, &ns);
}

TestSuite(pairing, .init = start, .fini = fixture_finish, .timeout = 60);

/* The inbound SA of the second CHILD_SA with the outbound SA of the first one. */
static struct feed_child wrong(void)
{
	struct feed_child child = two;

	child.spi_out = one.spi_out;
	return child;
}

static bool was_asked(void)
{
	return charon.resyncs > 0;
}

static const struct key_manager *manager(void)
{
	return key_managers_find(&attribution->key_managers, &charon);
}

Test(pairing, sas_of_a_wrong_pair_are_bound_again_after_another_list_and_a_line_in_the_log)
{
	struct feed_child mixed = wrong();

	logged.wanted = "unattributed (pairing)";
	snapshot(&charon, &mixed, NULL);
	cr_expect_eq(in_state(&one), LATCH_SA_ORPHAN, "the first list does not name it");
	snapshot(&charon, &one, &two);
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(in_state(&one), LATCH_SA_ORPHAN);
	wait_until(was_asked);
	snapshot(&charon, &one, &two);
	expect_states(&one, LATCH_SA_BOUND);
	expect_states(&two, LATCH_SA_BOUND);
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(manager()->left_out, 0);
}

/* A peer that uses an outbound SPI twice makes no endless lists. */
Test(pairing, a_lasting_pair_of_another_outbound_sa_is_asked_for_a_few_times_only)
{
	struct feed_child mixed = one;
	unsigned int lists = 0;

	mixed.spi_out = two.spi_out;
	snapshot(&charon, &two, NULL);
	/* Its own pair is newer than the inbound SA of the wrong one. */
	do {
		snapshot(&charon, &two, &mixed);
	} while (manager()->left_out == ++lists && lists < 10);
	cr_expect_eq(lists, 10, "left out in each list");
	attribution_check_all(attribution);
	cr_expect_not(manager()->list_failed);
	snapshot(&charon, &two, &mixed);
	cr_expect_not(manager()->list_failed);
	snapshot(&charon, &two, NULL);
	cr_expect_eq(manager()->left_out, 0);
}

Test(pairing, a_pair_that_has_ended_and_is_still_reported_is_no_news)
{
	struct latch_sa_key in = in_key(&one, ns.cookie), out = out_key(&one, ns.cookie);
	struct feed_child ended = one;

	logged.wanted = "unattributed (pairing)";
	snapshot(&charon, &one, &two);
	delete_sa(&in);
	delete_sa(&out);
	ended.spi_out = two.spi_out;
	snapshot(&charon, &two, &ended);
	cr_expect_eq(logged.count, 0);
	cr_expect_eq(manager()->left_out, 0);
	expect_states(&two, LATCH_SA_BOUND);
}

/* D's pair is reported when its SAs are gone, and C's outbound SA has got D's former SPI. */
static void report_late(struct feed_child *d, struct feed_child *c)
{
	struct latch_sa_key in, out;

	*d = child_of("d.example", 3);
	*c = child_of("c.example", 4);
	c->spi_out = d->spi_out;
	in = in_key(d, ns.cookie);
	out = out_key(d, ns.cookie);
	install_both(d);
	delete_sa(&in);
	delete_sa(&out);
	install_both(c);
	up(&charon, d);
}

static void list(const struct feed_child *child)
{
	sink->snapshot_begin(sink->context, &charon);
	sink->child_up(sink->context, &charon, child, FEED_EVIDENCE_LIST);
	sink->snapshot_end(sink->context, &charon);
}

Test(pairing, a_migrated_sa_gets_its_outbound_sa_from_a_pair_that_has_ended)
{
	struct feed_child d, c;
	struct latch_sa_key in;

	snapshot(&charon, &one, &two);
	report_late(&d, &c);
	in = in_key(&c, ns.cookie);
	delete_sa(&in);
	install_in(&c, ns.cookie);
	list(&c);
	list(&c);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(manager()->left_out, 0);
}

Test(pairing, a_migrated_sa_gets_its_outbound_sa_from_a_pair_of_a_charon_that_was_lost)
{
	struct feed_child d, c;
	struct latch_sa_key in;

	snapshot(&charon, &one, &two);
	report_late(&d, &c);
	set_feed_state(&charon, FEED_STATE_LOST);
	in = in_key(&c, ns.cookie);
	delete_sa(&in);
	install_in(&c, ns.cookie);
	list(&c);
	list(&c);
	expect_states(&c, LATCH_SA_BOUND);
}

/* D has ended its CHILD_SA, and its outbound SA is still in the kernel. */
Test(pairing, an_outbound_sa_of_a_pair_that_has_ended_goes_to_no_other_peer)
{
	struct feed_child d = child_of("d.example", 3), c = child_of("c.example", 4);
	struct latch_sa_key in = in_key(&d, ns.cookie);

	snapshot(&charon, &one, &two);
	install_and_report(&charon, &d);
	delete_sa(&in);
	snapshot(&charon, NULL, NULL);
	cr_expect_eq(out_state(&d), LATCH_SA_DYING);
	c.spi_out = d.spi_out;
	install_in(&c, ns.cookie);
	list(&c);
	list(&c);
	cr_expect_eq(out_state(&d), LATCH_SA_DYING);
	cr_expect_gt(manager()->left_out, 0);
}
