/* SPDX-License-Identifier: BSD-2-Clause */
/* Which policy of an SPD is shown, and that the search is one pass over it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "latchd/explain/explain_policy.h"

#define MANY 4000

static size_t compared;

/* Instead of the one of policy.c: here each policy covers the flow. */
bool policy_covers(const struct policy *policy, const struct latch_flow *flow)
{
	(void)policy;
	(void)flow;
	compared++;
	return true;
}

static const struct latch_flow flow;

TestSuite(explain_policy);

static size_t work_of(size_t count, bool mixed)
{
	struct spd spd = {.policies = calloc(count, sizeof(*spd.policies)), .count = count};
	size_t i;

	cr_assert_not_null(spd.policies);
	for (i = 0; i < count; i++)
		spd.policies[i] = (struct policy){
			.if_id = (uint32_t)i + 1, .limited = !mixed || i % 2, .priority = 1};
	compared = 0;
	cr_expect_eq(explain_policy(&spd, &flow, POLICY_OUT) != NULL, mixed);
	free(spd.policies);
	return compared;
}

Test(explain_policy, the_work_grows_with_the_number_of_policies_and_no_faster)
{
	cr_expect_leq(work_of(MANY, false), MANY);
	cr_expect_leq(work_of(2 * MANY, false), 2 * MANY);
	cr_expect_leq(work_of(MANY, true), MANY);
	cr_expect_leq(work_of(2 * MANY, true), 2 * MANY);
	cr_expect_gt(work_of(MANY, true), 0, "policies are compared");
}

Test(explain_policy, the_first_policy_of_the_direction_decides_and_interfaces_come_last)
{
	struct policy policies[] = {
		{.priority = 1, .direction = POLICY_IN},
		{.priority = 1, .limited = true},
		{.priority = 1, .entry = true},
		{.priority = 1, .if_id = 7},
		{.priority = 9},
		{.priority = 5},
		{.priority = 0, .if_id = 8},
	};
	struct spd spd = {.policies = policies, .count = 7};

	cr_expect_eq(explain_policy(&spd, &flow, POLICY_OUT), &policies[5]);
	cr_expect_eq(explain_policy(&spd, &flow, POLICY_IN), &policies[0]);
	spd.count = 4;
	cr_expect_eq(explain_policy(&spd, &flow, POLICY_OUT), &policies[3]);
	spd.count = 3;
	cr_expect_null(explain_policy(&spd, &flow, POLICY_OUT));
}
