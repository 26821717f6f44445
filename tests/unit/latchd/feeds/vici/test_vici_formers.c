/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections with doubts: they end after two lists without an IKE_SA in doubt, unless traps last.
 */
#include <criterion/criterion.h>

#include "latchd/feeds/vici/formers.h"

static struct vici_formers formers;

static void finish(void)
{
	vici_formers_clear(&formers);
}

TestSuite(vici_formers, .fini = finish);

Test(vici_formers, a_connection_ends_after_two_lists_without_it)
{
	cr_expect(vici_formers_note(&formers, 5, false));
	cr_expect_not(vici_formers_note(&formers, 5, false));
	cr_expect(vici_formers_sweep(&formers), "this list may be older");
	cr_expect(vici_formers_sweep(&formers), "a second list is needed");
	cr_expect(vici_formers_contain(&formers, 5));
	vici_formers_sweep(&formers);
	cr_expect_not(vici_formers_contain(&formers, 5));
	cr_expect_not(vici_formers_sweep(&formers));
}

Test(vici_formers, a_list_that_shows_it_starts_the_count_again)
{
	vici_formers_note(&formers, 5, false);
	vici_formers_sweep(&formers);
	vici_formers_sweep(&formers);
	vici_formers_seen(&formers, 5);
	vici_formers_seen(&formers, 6);
	cr_expect_not(vici_formers_sweep(&formers), "no other list is needed");
	vici_formers_sweep(&formers);
	cr_expect(vici_formers_contain(&formers, 5));
	cr_expect_not(vici_formers_contain(&formers, 6));
}

Test(vici_formers, a_connection_with_traps_never_ends)
{
	int i;

	vici_formers_note(&formers, 5, false);
	cr_expect(vici_formers_note(&formers, 5, true));
	for (i = 0; i < 5; i++)
		cr_expect_not(vici_formers_sweep(&formers));
	cr_expect(vici_formers_contain(&formers, 5));
}

Test(vici_formers, without_room_every_connection_counts)
{
	uint64_t i;

	for (i = 0; i < VICI_FORMERS_MAX; i++)
		vici_formers_note(&formers, i, false);
	cr_expect_not(vici_formers_contain(&formers, i));
	vici_formers_note(&formers, i, false);
	cr_expect(vici_formers_contain(&formers, i + 1));
}
