/* SPDX-License-Identifier: BSD-2-Clause */
/* No start and no reload lowers enforcement; mode = enforce always raises it. */
#include <criterion/criterion.h>

#include "latch_answer.h"
#include "latch_mode.h"
#include "latchd/enforce/mode.h"

static const struct latch_settings enforced = {.mode = 2}, audited = {.mode = 3};
static const struct config kept = {.mode = CONFIG_MODE_KEPT};
static const struct config enforce = {.mode = CONFIG_MODE_ENFORCE};
static const struct config audit = {.mode = CONFIG_MODE_AUDIT};

Test(mode, the_file_decides_at_the_first_start)
{
	const struct latch_settings none = {0};

	cr_expect_not(mode_is_audit_after(&kept, &none, true));
	cr_expect_not(mode_is_audit_after(&enforce, &none, true));
	cr_expect(mode_is_audit_after(&audit, &none, true));
}

Test(mode, no_later_start_lowers_enforcement)
{
	cr_expect_not(mode_is_audit_after(&kept, &enforced, false));
	cr_expect_not(mode_is_audit_after(&enforce, &enforced, false));
	cr_expect_not(mode_is_audit_after(&audit, &enforced, false));
}

Test(mode, a_later_start_keeps_audit_mode_unless_the_file_says_enforce)
{
	cr_expect(mode_is_audit_after(&kept, &audited, false));
	cr_expect(mode_is_audit_after(&audit, &audited, false));
	cr_expect_not(mode_is_audit_after(&enforce, &audited, false));
}

/* A latch that broke under a word that was lost must not pass in the next audit. */
Test(mode, a_word_that_was_lost_is_replaced_by_a_later_one_of_enforcement)
{
	const uint64_t second = 1000000000ULL;
	struct latch_settings lost = {0}, first = {0};

	mode_begin(&lost, true, 90 * second);
	cr_expect_not(latch_mode_is_audit(lost.mode));
	cr_expect_gt(lost.mode, 89, "a switch a second since the start of the machine");
	mode_begin(&first, false, 90 * second);
	cr_expect_eq(first.mode, 0);
	cr_expect_eq(first.mode_since, 0, "enforcement since the first start");
	mode_begin(&lost, true, second / 2);
	cr_expect_neq(lost.mode, 0, "0 is no word of a settings map that was lost");
}

/* The lost word may have been one of audit mode. */
Test(mode, a_latch_from_before_a_word_was_lost_was_not_enforced_for_sure)
{
	const uint64_t lost_at = 90000000000ULL;
	struct latch_settings lost = {0};

	mode_begin(&lost, true, lost_at);
	cr_expect(latch_was_audited(lost_at - 1, 0, 0, lost.mode, lost.mode_since));
	cr_expect_not(latch_was_audited(lost_at, 0, 0, lost.mode, lost.mode_since));
}

/* What an application wishes is enforced in each mode, from the wish on. */
Test(mode, a_latch_of_a_wish_was_enforced_unless_it_began_before_the_wish)
{
	const __u8 wished = LATCH_RULE_WISHED;
	struct latch latch = {.decided = 1};

	cr_expect(latch_was_audited(5, 0, 0, 1, 1));
	cr_expect_not(latch_was_audited(5, 0, wished, 1, 1));
	cr_expect_not(latch_was_audited(5, 0, wished, 2, 9));
	cr_expect(latch_was_audited(5, LATCH_UNPROVEN_AUDITED, wished, 1, 1));
	cr_expect(latch_mode_passes_latch(1, &latch));
	latch.rule_flags = wished;
	cr_expect_not(latch_mode_passes_latch(1, &latch));
}

Test(mode, no_value_of_the_word_returns)
{
	__u32 mode = 0, next;
	int i;

	for (i = 1; i <= 10; i++) {
		next = latch_mode_next(mode, i & 1);
		cr_expect_eq(next, mode + 1);
		cr_expect_eq(latch_mode_is_audit(next), i & 1);
		cr_expect_eq(latch_mode_next(next, i & 1), next);
		cr_expect_eq(latch_mode_passes(next, next), i & 1);
		cr_expect_not(latch_mode_passes(next, mode));
		mode = next;
	}
}
