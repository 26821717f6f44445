/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the contested groups: each group has one rival recorded, if there is any. Peers choose
 * the number of comparisons, so they are made in turns. A group that is not compared with all
 * others yet counts as contested.
 */
#ifndef LATCHD_SA_CHILD_SA_GROUP_RIVALS_H
#define LATCHD_SA_CHILD_SA_GROUP_RIVALS_H

#include "latchd/choice/choice.h"
#include "latchd/sa/child/sa_group.h"

/* Work of one turn, in policies and selectors that are looked at: some milliseconds. */
#define SA_GROUP_RIVALS_TURN 262144
/* Share of a turn's work for the groups of one peer, before the groups of the next peer. */
#define SA_GROUP_RIVALS_SLICE 65536
/* Outside of turns the work of one turn may be done in this time. */
#define SA_GROUP_RIVALS_TURN_MS 20

bool sa_group_rivals_contested(const struct sa_group *group);

/* The group, which is in the trees, begins to count, or is about to cease. */
void sa_group_rivals_enter(struct sa_groups *groups, struct sa_group *group);
void sa_group_rivals_leave(struct sa_groups *groups, struct sa_group *group);

/* The answers of choice have changed for the namespace. */
void sa_group_rivals_recount(struct sa_groups *groups, uint64_t netns,
			     const struct choice_change *change);

/* Takes the next group with stale marks from the list, contested or not. NULL: there is none. */
struct sa_group *sa_groups_take_stale(struct sa_groups *groups, bool uncontested);
void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group);
/* The group ceases to be stale: it ends. */
void sa_groups_forget_stale(struct sa_groups *groups, struct sa_group *group);

/* Does one turn. Notes groups as stale that have become contested, or are no longer contested. */
void sa_group_rivals_decide(struct sa_groups *groups);
bool sa_group_rivals_are_decided(const struct sa_groups *groups);

#endif
