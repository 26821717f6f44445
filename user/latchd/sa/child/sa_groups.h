/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs that count in conflicts, deleted ones while the kernel has their SAs. A peer may
 * have thousands, so they form groups of the same traffic selectors and params, found by their
 * remote addresses. A part of a peer's share is left to rekeys.
 */
#ifndef LATCHD_SA_CHILD_SA_GROUPS_H
#define LATCHD_SA_CHILD_SA_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/sa/child/sa_group.h"

/*
 * Puts the CHILD_SA into the group of its selectors and params if it counts, else takes it out of
 * its group. 0; -EDQUOT when the peer has SA_GROUPS_PARAMS_MAX other groups of these params there,
 * SA_GROUPS_SHARE_MAX of any, or SA_GROUPS_PEER_MAX CHILD_SAs. forced: no limit.
 */
int sa_groups_update(struct sa_groups *groups, struct child_sa *child, bool forced);
void sa_groups_leave(struct sa_groups *groups, struct child_sa *child);

/* Is there a group with the selectors, params and way of the CHILD_SA? */
bool sa_groups_have(struct sa_groups *groups, const struct child_sa *child);

/* The table of params is empty. */
void sa_groups_forget_ids(struct sa_groups *groups);

/*
 * Could the kernel use the group for this flow only until a removed policy of the latch's peer
 * comes back (policy-grace)?
 */
bool sa_groups_stands_in(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params);

/* True: the group has an interface id that no SA of these params has, so that their packets pass
 * another device. */
bool sa_groups_have_other_device(const struct sa_groups *groups, const struct sa_group *group,
				 uint64_t netns, uint16_t params);

/*
 * May the kernel use an SA of the group for a flow that is latched to other params? RFC 5660
 * section 2.3 compares selectors only. RFC 4301's ordered SPD excludes some of these
 * conflicts.
 */
bool sa_groups_conflicts(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params);

/* A group in conflict with a latch of these params, or NULL. */
const struct sa_group *sa_groups_find_conflicting(struct sa_groups *groups,
						  const struct latch_flow *flow, uint16_t params);

#endif
