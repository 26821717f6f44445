/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the policy that decides over the flow of "latchctl explain", in one pass over the SPD. */
#ifndef LATCHD_EXPLAIN_EXPLAIN_POLICY_H
#define LATCHD_EXPLAIN_EXPLAIN_POLICY_H

#include "latchd/spd/policy.h"

/*
 * The policy that decides over the flow, or NULL. A route may lead to an xfrm interface: without a
 * policy for other routes the first policy of any interface id decides. Policies with a mark or a
 * security context are ignored. Local users can write policies, so the search is one pass.
 */
const struct policy *explain_policy(const struct spd *spd, const struct latch_flow *flow,
				    enum policy_direction direction);

#endif
