/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/child_sa.h"

bool child_sas_has_selectors(const struct child_sa *child, const struct feed_child *reported)
{
	return traffic_selector_sets_equal(&child->reported.local_ts, &reported->local_ts) &&
	       traffic_selector_sets_equal(&child->reported.remote_ts, &reported->remote_ts);
}

bool child_sas_same_selectors(const struct child_sa *a, const struct child_sa *b)
{
	return a->netns == b->netns && child_sas_has_selectors(a, &b->reported);
}

bool child_sas_covers(const struct child_sa *child, const struct latch_flow *flow)
{
	return child->netns == flow->netns &&
	       traffic_selector_set_covers(&child->reported.local_ts, flow->family, flow->protocol,
					   flow->local_addr, flow->local_port) &&
	       traffic_selector_set_covers(&child->reported.remote_ts, flow->family, flow->protocol,
					   flow->remote_addr, flow->remote_port);
}

bool child_sas_overlap(const struct child_sa *a, const struct child_sa *b, uint64_t *looks)
{
	const struct feed_child *one = &a->reported, *other = &b->reported;

	return a->netns == b->netns &&
	       traffic_selector_sets_overlap(&one->local_ts, &other->local_ts, looks) &&
	       traffic_selector_sets_overlap(&one->remote_ts, &other->remote_ts, looks);
}
