/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of verdicts: first verdicts stay, ended ones leave after two snapshots, and its bound.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "latchd/feeds/vici/verdicts.h"

static struct vici_verdicts verdicts;

static void finish(void)
{
	vici_verdicts_clear(&verdicts);
}

TestSuite(vici_verdicts, .fini = finish);

Test(vici_verdicts, the_first_verdict_stays)
{
	const char *doubt = "none";

	cr_expect_not(vici_verdicts_find(&verdicts, 7, &doubt));
	cr_assert_eq(vici_verdicts_set(&verdicts, 7, "doubt"), 0);
	cr_assert_eq(vici_verdicts_set(&verdicts, 7, NULL), 0);
	cr_assert(vici_verdicts_find(&verdicts, 7, &doubt));
	cr_expect_str_eq(doubt, "doubt");
	cr_expect_not(vici_verdicts_find(&verdicts, 7 + VICI_VERDICTS_BUCKETS, &doubt));
}

Test(vici_verdicts, an_ended_ike_sa_keeps_its_verdict_for_two_snapshots)
{
	const char *doubt;

	cr_assert_eq(vici_verdicts_set(&verdicts, 7, NULL), 0);
	cr_assert_eq(vici_verdicts_set(&verdicts, 8, NULL), 0);
	vici_verdicts_sweep(&verdicts);
	vici_verdicts_end(&verdicts, 7);
	vici_verdicts_sweep(&verdicts);
	cr_expect(vici_verdicts_find(&verdicts, 7, &doubt));
	vici_verdicts_end(&verdicts, 7);
	vici_verdicts_sweep(&verdicts);
	cr_expect_not(vici_verdicts_find(&verdicts, 7, &doubt));
	cr_expect(vici_verdicts_find(&verdicts, 8, &doubt));
}

Test(vici_verdicts, a_full_table_takes_no_other_verdict)
{
	const char *doubt;
	uint32_t id;

	for (id = 1; id <= VICI_VERDICTS_MAX; id++)
		cr_assert_eq(vici_verdicts_set(&verdicts, id, NULL), 0);
	cr_expect_eq(vici_verdicts_set(&verdicts, id, NULL), -E2BIG);
	cr_expect_not(vici_verdicts_find(&verdicts, id, &doubt));
	cr_expect(vici_verdicts_find(&verdicts, 1, &doubt));
}
