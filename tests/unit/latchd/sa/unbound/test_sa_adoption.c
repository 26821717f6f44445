/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which SAs of a dump are added to the table. The linker prefers the dump here to that of the
 * archive: it has as many SAs as the test asks for.
 */
#include "attribution_fixture.h"

#include "latchd/sa/attribution_parts.h"
#include "latchd/sa/unbound/sa_adoption.h"
#include "latchd/sa/unbound/sa_dump.h"

#define DUMPED 20 /* of SPIs 1 to 20 */

TestSuite(sa_adoption, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static uint32_t dumped;
static struct feed_child late;

int sa_dump(uint64_t netns, sa_visit_fn visit, void *context)
{
	struct feed_child child = child_of("c.example", 1);
	struct latch_sa sa = sa_from(child.remote_host, true);
	int err = 0;

	for (; child.spi_in <= dumped && !err; child.spi_in++) {
		struct latch_sa_key key = in_key(&child, netns);

		err = visit(context, &key, &sa);
	}
	return err;
}

static unsigned int count_table(void)
{
	struct latch_sa_key key = {0};
	unsigned int count = 0;
	int err = bpf_map_get_next_key(maps.sas, NULL, &key);

	for (; !err; err = bpf_map_get_next_key(maps.sas, &key, &key))
		count++;
	return count;
}

/* The SAs of refused peers that found no place do not come back by a dump. */
Test(sa_adoption, reported_sas_are_added_and_of_others_as_many_as_their_share_admits)
{
	late = child_of("d.example", DUMPED);
	up(&charon, &late);
	dumped = DUMPED;
	cr_expect_eq(sa_adoption_run(&maps, ns.cookie, &attribution->child_sas, 3), 1);
	cr_expect_eq(count_table(), 4);
	cr_expect_eq(in_state(&late), LATCH_SA_PENDING);
	cr_expect_eq(sa_adoption_run(&maps, ns.cookie, &attribution->child_sas, 0), 1);
	cr_expect_eq(count_table(), 4, "those that are there stay");
}

/* Its key manager has not reported anything yet. */
Test(sa_adoption, at_the_start_all_sas_are_added)
{
	dumped = DUMPED;
	cr_expect_eq(sa_adoption_run(&maps, ns.cookie, NULL, 0), 0);
	cr_expect_eq(count_table(), DUMPED);
}

static unsigned int in_table_when_served;

static void note_table(void)
{
	in_table_when_served = count_table();
}

/* Between the two a new flow under one of them would begin unlatched. */
Test(sa_adoption, a_namespace_is_served_before_its_sas_are_in_the_table)
{
	dumped = DUMPED;
	seen.on_served = note_table;
	in_table_when_served = DUMPED;
	attach(&pluto, &ns);
	cr_expect_eq(seen.served, 2);
	cr_expect_eq(in_table_when_served, 0);
	cr_expect_eq(count_table(), DUMPED);
}

static bool late_is_bound(void)
{
	return in_state(&late) == LATCH_SA_BOUND;
}

/* What a peer over its share loses, and what the share of refused SAs has no room for. */
Test(sa_adoption, the_search_for_missing_sas_finds_those_of_a_known_peer_only)
{
	struct latch_sa_key key = {.spi = 0x1000};

	late = child_of("d.example", DUMPED);
	for (; refused_sas_room(&attribution->refused_sas); key.spi++)
		cr_assert(refused_sas_note(&attribution->refused_sas, &key, "why", true));
	dumped = DUMPED;
	up(&charon, &late);
	wait_until(late_is_bound);
	cr_expect_eq(count_table(), 1);
}

static bool all_are_found(void)
{
	return count_table() == DUMPED;
}

/* They may be those of peers that are proven later. A further search is a minute away. */
Test(sa_adoption, skipped_sas_are_searched_for_again)
{
	struct latch_sa_key key = {.spi = 0x1000};

	late = child_of("d.example", DUMPED);
	for (; refused_sas_room(&attribution->refused_sas); key.spi++)
		cr_assert(refused_sas_note(&attribution->refused_sas, &key, "why", true));
	dumped = DUMPED;
	up(&charon, &late);
	wait_until(late_is_bound);
	cr_expect(attribution->pending_sas.missing);
	settle();
	cr_expect_eq(count_table(), 1, "no search at once");
	refused_sas_clear(&attribution->refused_sas);
	attribution->pending_sas.adopted_ms = 0;
	wait_until(all_are_found);
	cr_expect_not(attribution->pending_sas.missing);
}
