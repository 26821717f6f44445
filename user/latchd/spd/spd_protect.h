/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-14, for latches of rules with on-policy-change = protect. Entries of
 * latchd come before all other policies (policy_entry.h), so that an edit of the SPD does not apply
 * to the flow. The entries are removed once the edit is reverted or the latch ends.
 */
#ifndef LATCHD_SPD_SPD_PROTECT_H
#define LATCHD_SPD_SPD_PROTECT_H

#include "latchd/spd/spd_view.h"

/*
 * Adds or renews the entries of both directions. 1: an entry is new. 0: both were there. -EEXIST:
 * the edit is a policy for this very flow. Or another negative errno.
 */
int spd_protect_add(struct spd_view *view, const struct latch_flow *flow, const struct latch *latch,
		    const struct policy_query *query);

/* Removes the flow's entries. 1: it had some. 0: it had none. Or a negative errno. */
int spd_protect_remove(struct spd_view *view, const struct latch_flow *flow);

/* Removes the entries of flows without a latch. 0 or a negative errno. */
int spd_protect_remove_orphans(const struct kernel_maps *maps, const struct spd_view *view,
			       uint64_t netns);

/* True: the flow has its entries for both directions, which only have to be renewed. */
bool spd_protect_holds(struct spd_view *view, const struct latch_flow *flow);
/* True: spd_protect_add() would succeed. Adds no entry. */
bool spd_protect_could_add(struct spd_view *view, const struct latch_flow *flow,
			   const struct latch *latch, const struct policy_query *query);

/* True: the namespace has entries of latchd. */
bool spd_protect_has_entries(const struct spd_view *view);

#endif
