/* SPDX-License-Identifier: BSD-2-Clause */
/* Unproven connections: they end after two lists without an unproven IKE_SA, unless traps last.
 */
#include <criterion/criterion.h>

#include "latchd/feeds/vici/unproven_connections.h"

static struct vici_unproven_connections connections;

static bool sweep(void)
{
	bool ended;

	return vici_unproven_sweep(&connections, &ended);
}

static void finish(void)
{
	vici_unproven_clear(&connections);
}

TestSuite(vici_unproven_connections, .fini = finish);

Test(vici_unproven_connections, a_connection_ends_after_two_lists_without_it)
{
	bool ended;

	cr_expect(vici_unproven_note(&connections, 5, false));
	cr_expect_not(vici_unproven_note(&connections, 5, false));
	cr_expect(vici_unproven_await(&connections, 5));
	cr_expect(sweep(), "this list may be older");
	cr_expect(vici_unproven_sweep(&connections, &ended), "a second list is needed");
	cr_expect_not(ended);
	cr_expect(vici_unproven_contain(&connections, 5));
	vici_unproven_sweep(&connections, &ended);
	cr_expect(ended);
	cr_expect_not(vici_unproven_contain(&connections, 5));
	cr_expect_not(sweep());
}

Test(vici_unproven_connections, a_list_with_an_unproven_connection_starts_its_count_again)
{
	vici_unproven_note(&connections, 5, false);
	vici_unproven_await(&connections, 5);
	sweep();
	sweep();
	vici_unproven_seen(&connections, 5);
	vici_unproven_seen(&connections, 6);
	cr_expect_not(sweep(), "no other list is needed");
	cr_expect_not(sweep(), "none has ended since");
	cr_expect(vici_unproven_contain(&connections, 5));
	cr_expect_not(vici_unproven_contain(&connections, 6));
}

Test(vici_unproven_connections, no_list_is_needed_before_an_ike_sa_has_ended)
{
	vici_unproven_note(&connections, 5, false);
	cr_expect_not(sweep());
	cr_expect_not(vici_unproven_await(&connections, 6));
}

Test(vici_unproven_connections, a_connection_with_traps_never_ends)
{
	int i;

	vici_unproven_note(&connections, 5, false);
	cr_expect(vici_unproven_note(&connections, 5, true));
	cr_expect_not(vici_unproven_await(&connections, 5), "no list ends it");
	for (i = 0; i < 5; i++)
		cr_expect_not(sweep());
	cr_expect(vici_unproven_contain(&connections, 5));
}

Test(vici_unproven_connections,
     a_connection_that_is_listed_with_traps_later_never_ends_and_another_does)
{
	vici_unproven_note(&connections, 5, false);
	vici_unproven_note(&connections, 6, false);
	cr_expect(vici_unproven_trap(&connections, 5));
	cr_expect_not(vici_unproven_trap(&connections, 5), "it is known");
	cr_expect_not(vici_unproven_trap(&connections, 7), "it is not unproven");
	sweep();
	sweep();
	sweep();
	cr_expect(vici_unproven_contain(&connections, 5));
	cr_expect_not(vici_unproven_contain(&connections, 6));
	cr_expect_not(vici_unproven_contain(&connections, 7));
}

static void fill(void)
{
	uint64_t i;

	for (i = 1; i <= VICI_UNPROVEN_CONNECTIONS_MAX; i++)
		vici_unproven_note(&connections, i, false);
	cr_expect_not(vici_unproven_contain(&connections, i));
	cr_expect(vici_unproven_note(&connections, i, false));
	cr_expect_not(vici_unproven_note(&connections, i + 1, false), "the file has it");
}

Test(vici_unproven_connections, without_room_every_connection_counts)
{
	fill();
	cr_expect(vici_unproven_contain(&connections, VICI_UNPROVEN_CONNECTIONS_MAX + 9));
	cr_expect_eq(vici_unproven_stands_for(&connections, VICI_UNPROVEN_CONNECTIONS_MAX + 9),
		     VICI_UNPROVEN_CONNECTIONS_REST);
	cr_expect_eq(vici_unproven_stands_for(&connections, 7), 7);
}

Test(vici_unproven_connections, connections_without_room_end_after_two_lists_without_them)
{
	fill();
	sweep();
	vici_unproven_seen(&connections, VICI_UNPROVEN_CONNECTIONS_MAX + 1);
	sweep();
	sweep();
	cr_expect(vici_unproven_contain(&connections, VICI_UNPROVEN_CONNECTIONS_MAX + 9),
		  "a list has shown it");
	sweep();
	cr_expect_not(vici_unproven_contain(&connections, VICI_UNPROVEN_CONNECTIONS_MAX + 9));
}

static void take(void *context, uint64_t connection, bool traps)
{
	vici_unproven_note(context, connection, traps);
}

Test(vici_unproven_connections, connections_without_room_count_for_the_next_latchd)
{
	struct vici_unproven_connections next = {0};

	fill();
	vici_unproven_each(&connections, take, &next);
	cr_expect(vici_unproven_contain(&next, VICI_UNPROVEN_CONNECTIONS_MAX + 9));
	cr_expect_eq(next.count, VICI_UNPROVEN_CONNECTIONS_MAX);
	vici_unproven_clear(&next);
}
