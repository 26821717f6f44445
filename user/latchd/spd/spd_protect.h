/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-14, for latches whose rule wants it: edits of the SPD do
 * not reach the flow, since entries of our own come before them (kernel/policy_entry.h).
 * They go when the edit is reverted or the latch ends.
 */
#ifndef LATCHD_SPD_SPD_PROTECT_H
#define LATCHD_SPD_SPD_PROTECT_H

#include "latchd/spd/spd_view.h"

/*
 * Makes sure of the entries of both directions. 1 when one is new, 0 when both were there,
 * -EEXIST when the edit is a policy for this very flow, or another negative errno.
 */
int spd_protect(struct spd_view *view, const struct latch_flow *flow, const struct latch *latch,
		const struct policy_query *query);

/* Removes the flow's entries. 1 when there were any, 0, or a negative errno. */
int spd_unprotect(struct spd_view *view, const struct latch_flow *flow);

/* Removes the entries of flows that have no latch any more. 0 or a negative errno. */
int spd_unprotect_orphans(const struct kernel_maps *maps, const struct spd_view *view,
			  uint64_t netns);

/* Whether the namespace has entries of ours. */
bool spd_has_entries(const struct spd_view *view);

#endif
