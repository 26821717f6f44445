/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has changed since an answer of sa_group_pairs.h. An answer for two addresses depends on the
 * groups with the remote address in their selectors, on policies for it whatever their interface
 * id, and on devices. It also depends on the interface ids of all groups with the same params.
 */
#ifndef LATCHD_SA_CHILD_SA_GROUP_CHANGES_H
#define LATCHD_SA_CHILD_SA_GROUP_CHANGES_H

#include "latchd/sa/child/sa_group.h"

enum sa_groups_scope {
	SA_GROUPS_SCOPE_BEGUN = 1,  /* groups with other params that began */
	SA_GROUPS_SCOPE_POLICY = 2, /* policies, for any group */
	SA_GROUPS_SCOPE_ALL = 4,
};

/* The group begins or ceases to count. */
void sa_group_changes_add(struct sa_groups *groups, const struct sa_group *group,
			  enum sa_groups_cause cause);
void sa_group_changes_add_choice(struct sa_groups *groups, uint64_t netns,
				 const struct choice_change *change);

/* Releases what is known of changes: later questions are answered as after too many of them. */
void sa_group_changes_forget(struct sa_groups *groups);

/*
 * By what may the answer be another one now? A set of enum sa_groups_scope; 0: it is the same.
 * since: sa_groups.changes when it was given. After too many changes it is everything.
 */
unsigned int sa_group_changes_scope(const struct sa_groups *groups, uint64_t since,
				    const struct latch_pair *pair, bool contested);

#endif
