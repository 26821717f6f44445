/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The groups that overlap with a group and have other params, for a flow that the kernel may give
 * either: its rivals. The marks of its members are stale when it gains the first or loses the last.
 */
#ifndef LATCHD_SA_CHILD_SA_GROUP_RIVALS_H
#define LATCHD_SA_CHILD_SA_GROUP_RIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/sa/child/sa_group.h"

/* The group, which has members, begins (1) or ceases (-1) to count. */
void sa_group_rivals_change(struct sa_groups *groups, struct sa_group *group, int change);

/* The next group with (relieved: without) rivals and stale marks, which no longer are. NULL: none.
 */
struct sa_group *sa_groups_take_stale(struct sa_groups *groups, bool relieved);
void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group);

/* A group that this one has as a rival, or NULL. */
const struct sa_group *sa_groups_find_rival(struct sa_groups *groups, struct sa_group *group);

/* The answers of choice have changed for the namespace: finds all rivals anew. */
void sa_groups_recount(struct sa_groups *groups, uint64_t netns);
/* The group ceases to be stale: it ends. */
void sa_groups_forget_stale(struct sa_groups *groups, struct sa_group *group);

#endif
