/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHD_EXPLAIN_EXPLAIN_POLICY_H
#define LATCHD_EXPLAIN_EXPLAIN_POLICY_H

#include "latchd/spd/policy.h"

/*
 * The policy that decides over the flow, or NULL. A route may lead to an xfrm interface: without a
 * policy for other routes it is the first one of any interface id. Those that a mark or a security
 * context selects are not looked at. Local users write policies: one pass.
 */
const struct policy *explain_policy(const struct spd *spd, const struct latch_flow *flow,
				    enum policy_direction direction);

#endif
