/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The forecast for the flow that a wish of its socket has refused. The kernel would use the SA of
 * c or of d for the next connection:
 *
 *   W 10.9.0.1 --- 10.9.0.2  c.example (SPI 1), d.example (SPI 2)
 */
#include "attribution_fixture.h"

#include "latchd/explain/explain.h"

TestSuite(explain_wish, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static struct explanation e;

/* The record of a flow whose packet had the SA of this owner. */
static struct history_record refused(enum latch_drop drop, enum latch_why wish, uint16_t owner)
{
	struct history_record record = {
		.kind = HISTORY_REFUSED,
		.flow = flow_at(5000, ns.cookie),
		.direction = LATCH_DIRECTION_OUT,
		.packet = {.time_ns = 1, .drop = drop, .wish = (uint8_t)wish},
	};

	history_side_of(identities, owner, &record.packet.owner);
	return record;
}

static void explain(const struct history_record *record)
{
	static struct news_bus own;
	const struct history_sources known = {.maps = &maps, .identities = identities};
	struct history *history = history_new(&own, &known);
	const struct explain_sources sources = {.maps = &maps,
						.identities = identities,
						.history = history,
						.attribution = attribution};
	const struct explain_subject subject = {.flow = flow_at(5000, ns.cookie), .record = record};

	cr_assert_not_null(history);
	cr_assert_eq(explain_subject(&sources, &subject, &e), 0);
	history_free(history);
}

static void expect_unwished(bool unwished)
{
	size_t i;

	cr_assert_eq(e.sa_count, 2);
	for (i = 0; i < e.sa_count; i++)
		cr_expect_eq(e.sas[i].unwished, unwished, "%zu", i);
}

Test(explain_wish, the_sas_of_the_owner_that_was_refused_would_be_refused_again)
{
	struct feed_child c = child_of("c.example", 1);
	struct history_record record;

	install_and_report(&charon, &c);
	record = refused(LATCH_DROP_IDENTITY, LATCH_WHY_PEER, in_params(&c));
	explain(&record);
	cr_expect_eq(e.found, EXPLAIN_REFUSED);
	cr_expect_eq(e.wish, LATCH_WHY_PEER);
	expect_unwished(true);
}

Test(explain_wish, another_owner_may_be_the_wished_one)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct history_record record;

	install_and_report(&charon, &d);
	record = refused(LATCH_DROP_IDENTITY, LATCH_WHY_PEER, in_params(&d));
	down(&charon, &d);
	delete_both(&d);
	install_and_report(&charon, &c);
	explain(&record);
	cr_expect_eq(e.wish, LATCH_WHY_PEER);
	expect_unwished(false);
}

Test(explain_wish, an_owner_with_another_quality_may_be_the_wished_one)
{
	struct feed_child c = child_of("c.example", 1);
	struct history_record record;

	install_and_report(&charon, &c);
	record = refused(LATCH_DROP_QOP, LATCH_WHY_QUALITY, in_params(&c));
	explain(&record);
	expect_unwished(true);
	record.packet.owner.params.qop.encryption_bits = 160;
	explain(&record);
	expect_unwished(false);
}

/* It had no SA with an owner, and this one has an owner. */
Test(explain_wish, a_latch_that_was_missing_is_there_with_an_sa)
{
	struct feed_child c = child_of("c.example", 1);
	struct history_record record;

	install_and_report(&charon, &c);
	record = refused(LATCH_DROP_REQUIRED, LATCH_WHY_REQUIRED, in_params(&c));
	explain(&record);
	cr_expect_eq(e.wish, LATCH_WHY_REQUIRED);
	expect_unwished(false);
}

Test(explain_wish, what_refuses_a_flow_without_a_wish_too_is_no_wish)
{
	struct feed_child c = child_of("c.example", 1);
	struct history_record record;

	install_and_report(&charon, &c);
	record = refused(LATCH_DROP_CONFLICT, LATCH_WHY_PEER, in_params(&c));
	explain(&record);
	cr_expect_eq(e.wish, 0);
	expect_unwished(false);
	record = refused(LATCH_DROP_IDENTITY, LATCH_WHY_NONE, in_params(&c));
	explain(&record);
	cr_expect_eq(e.wish, 0);
	expect_unwished(false);
}
