/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3: an SA conflicts with a latch when its traffic selectors cover the
 * flow and its params differ from the latch's. RFC 4301's ordered SPD narrows this: the kernel must
 * be able to choose the SA for the flow, or to accept the flow under it. A CHILD_SA counts from the
 * moment when its params are known until the kernel has deleted its last SA.
 */
#ifndef LATCHD_SA_CONFLICT_CONFLICT_H
#define LATCHD_SA_CONFLICT_CONFLICT_H

#include <stdint.h>

#include "latch_abi.h"
#include "latchd/sa/child/child_sas.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct conflict_view {
	const struct kernel_maps *maps;
	struct child_sas *child_sas;
	const struct news_bus *news;
	/* False while a key manager of the namespace is not synced: a conflict may be unknown. */
	bool (*may_heal)(void *context, uint64_t netns);
	/* Was the latch broken a moment ago in a way that no SA shows? NULL: none was. */
	bool (*is_held)(void *context, uint64_t latch_id);
	void *context;
};

/* Does another CHILD_SA overlap with other params? Then neither may create a latch (R-2.3-8). */
bool conflict_is_contested(const struct child_sa *child);

/* Breaks every latch in conflict. 0; or a negative errno: the CHILD_SA must not be bound. */
int conflict_break_latches(const struct conflict_view *view, const struct child_sa *child);

/* Breaks the latch with this id in any case: got are the params of the SA. 0 or a negative errno.
 */
int conflict_break_flow(const struct conflict_view *view, const struct latch_flow *flow,
			uint64_t latch_id, uint16_t got);

/* Breaks the latch of the flow if any CHILD_SA conflicts with it. 0 or a negative errno. */
int conflict_check_flow(const struct conflict_view *view, const struct latch_flow *flow);

/* The same for every latch, and heals latches without a conflict. 0 or a negative errno. */
int conflict_check_all(const struct conflict_view *view);

#endif
