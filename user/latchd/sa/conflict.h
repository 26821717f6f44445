/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3: an SA conflicts with a latch when its traffic selectors
 * cover the flow and its params are not the latch's. A child counts from when
 * its params are known until its last SA has left the kernel.
 */
#ifndef LATCHD_SA_CONFLICT_H
#define LATCHD_SA_CONFLICT_H

#include <stdint.h>

#include "latch_abi.h"
#include "latchd/sa/child_sas.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct conflict_view {
	const struct kernel_maps *maps;
	const struct child_sas *children;
	const struct news_bus *news;
	/* Have all key managers of the namespace told their children? Else one in conflict may be
	 * unknown. */
	bool (*may_heal)(void *context, uint64_t netns);
	void *context;
};

bool child_counts(const struct child_sa *child);

/* Does any other child overlap with other params? Then no latch may be born under either. */
bool child_is_contested(const struct child_sas *children, const struct child_sa *child);

/* Breaks every latch that the child conflicts with. 0 or a negative errno: then do not bind it. */
int conflict_break_latches(const struct conflict_view *view, const struct child_sa *child);

/* Breaks this flow's latch if any child conflicts with it. */
int conflict_check_flow(const struct conflict_view *view, const struct latch_flow *flow);

/* The same for every latch, and heals those that no child conflicts with any more. */
int conflict_check_all(const struct conflict_view *view);

#endif
