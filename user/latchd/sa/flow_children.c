/* SPDX-License-Identifier: BSD-2-Clause */
/* The CHILD_SAs that the kernel could use for a flow, for reports. */
#include "latchd/sa/attribution.h"
#include "latchd/sa/attribution_parts.h"

static bool may_carry(const struct attribution *a, const struct child_sa *child,
		      const struct latch_flow *flow)
{
	return child->netns == flow->netns && child->params && child_sas_covers(child, flow) &&
	       (!child->group || choice_may_carry(a->choice, &child->way, flow));
}

int attribution_children_of(const struct attribution *a, const struct latch_flow *flow,
			    attribution_child_fn visit, void *context)
{
	const struct child_sa *child;
	int result = 0;

	for (child = a->child_sas.first; !result && child; child = child->next) {
		const struct attribution_child found = {
			.in = &child->in.key, .out = &child->out.key, .params = child->params};

		if (may_carry(a, child, flow))
			result = visit(context, &found);
	}
	return result;
}
