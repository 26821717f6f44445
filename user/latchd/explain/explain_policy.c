/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/explain/explain_policy.h"

/* As in policy.c: the last one of equal policies. */
static bool is_before(const struct policy *policy, const struct policy *found)
{
	return !found || policy->priority <= found->priority;
}

const struct policy *explain_policy(const struct spd *spd, const struct latch_flow *flow,
				    enum policy_direction direction)
{
	const struct policy *found = NULL, *of_interface = NULL, *policy;
	size_t i;

	for (i = 0; i < spd->count; i++) {
		policy = &spd->policies[i];
		if (policy->entry || policy->limited || policy->direction != direction ||
		    !policy_covers(policy, flow))
			continue;
		if (!policy->if_id && is_before(policy, found))
			found = policy;
		if (policy->if_id && is_before(policy, of_interface))
			of_interface = policy;
	}
	return found ? found : of_interface;
}
