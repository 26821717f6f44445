/* SPDX-License-Identifier: BSD-2-Clause */
/* Unproven connections: they end after two lists without an unproven IKE_SA, unless traps last.
 */
#include <criterion/criterion.h>

#include "latchd/feeds/vici/formers.h"

static struct vici_formers formers;

static bool sweep(void)
{
	bool ended;

	return vici_formers_sweep(&formers, &ended);
}

static void finish(void)
{
	vici_formers_clear(&formers);
}

TestSuite(vici_formers, .fini = finish);

Test(vici_formers, a_connection_ends_after_two_lists_without_it)
{
	bool ended;

	cr_expect(vici_formers_note(&formers, 5, false));
	cr_expect_not(vici_formers_note(&formers, 5, false));
	cr_expect(vici_formers_await(&formers, 5));
	cr_expect(sweep(), "this list may be older");
	cr_expect(vici_formers_sweep(&formers, &ended), "a second list is needed");
	cr_expect_not(ended);
	cr_expect(vici_formers_contain(&formers, 5));
	vici_formers_sweep(&formers, &ended);
	cr_expect(ended);
	cr_expect_not(vici_formers_contain(&formers, 5));
	cr_expect_not(sweep());
}

Test(vici_formers, a_list_with_an_unproven_connection_starts_its_count_again)
{
	vici_formers_note(&formers, 5, false);
	vici_formers_await(&formers, 5);
	sweep();
	sweep();
	vici_formers_seen(&formers, 5);
	vici_formers_seen(&formers, 6);
	cr_expect_not(sweep(), "no other list is needed");
	cr_expect_not(sweep(), "none has ended since");
	cr_expect(vici_formers_contain(&formers, 5));
	cr_expect_not(vici_formers_contain(&formers, 6));
}

Test(vici_formers, no_list_is_needed_before_an_ike_sa_has_ended)
{
	vici_formers_note(&formers, 5, false);
	cr_expect_not(sweep());
	cr_expect_not(vici_formers_await(&formers, 6));
}

Test(vici_formers, a_connection_with_traps_never_ends)
{
	int i;

	vici_formers_note(&formers, 5, false);
	cr_expect(vici_formers_note(&formers, 5, true));
	cr_expect_not(vici_formers_await(&formers, 5), "no list ends it");
	for (i = 0; i < 5; i++)
		cr_expect_not(sweep());
	cr_expect(vici_formers_contain(&formers, 5));
}

Test(vici_formers, a_connection_that_is_listed_with_traps_later_never_ends_and_another_does)
{
	vici_formers_note(&formers, 5, false);
	vici_formers_note(&formers, 6, false);
	cr_expect(vici_formers_trap(&formers, 5));
	cr_expect_not(vici_formers_trap(&formers, 5), "it is known");
	cr_expect_not(vici_formers_trap(&formers, 7), "it is not unproven");
	sweep();
	sweep();
	sweep();
	cr_expect(vici_formers_contain(&formers, 5));
	cr_expect_not(vici_formers_contain(&formers, 6));
	cr_expect_not(vici_formers_contain(&formers, 7));
}

static void fill(void)
{
	uint64_t i;

	for (i = 1; i <= VICI_FORMERS_MAX; i++)
		vici_formers_note(&formers, i, false);
	cr_expect_not(vici_formers_contain(&formers, i));
	cr_expect(vici_formers_note(&formers, i, false));
	cr_expect_not(vici_formers_note(&formers, i + 1, false), "the file has it");
}

Test(vici_formers, without_room_every_connection_counts)
{
	fill();
	cr_expect(vici_formers_contain(&formers, VICI_FORMERS_MAX + 9));
	cr_expect_eq(vici_formers_stands_for(&formers, VICI_FORMERS_MAX + 9), VICI_FORMERS_REST);
	cr_expect_eq(vici_formers_stands_for(&formers, 7), 7);
}

Test(vici_formers, connections_without_room_end_after_two_lists_without_them)
{
	fill();
	sweep();
	vici_formers_seen(&formers, VICI_FORMERS_MAX + 1);
	sweep();
	sweep();
	cr_expect(vici_formers_contain(&formers, VICI_FORMERS_MAX + 9), "a list has shown it");
	sweep();
	cr_expect_not(vici_formers_contain(&formers, VICI_FORMERS_MAX + 9));
}

static void take(void *context, uint64_t connection, bool traps)
{
	vici_formers_note(context, connection, traps);
}

Test(vici_formers, connections_without_room_count_for_the_next_latchd)
{
	struct vici_formers next = {0};

	fill();
	vici_formers_each(&formers, take, &next);
	cr_expect(vici_formers_contain(&next, VICI_FORMERS_MAX + 9));
	cr_expect_eq(next.count, VICI_FORMERS_MAX);
	vici_formers_clear(&next);
}
