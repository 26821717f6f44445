/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which groups are contested: each has one rival as its witness, if there is any. Comparisons are
 * work that peers choose, so they are made in turns. A group that is not compared with all others
 * yet counts as contested.
 */
#ifndef LATCHD_SA_GROUP_RIVALS_H
#define LATCHD_SA_GROUP_RIVALS_H

#include "latchd/choice/choice.h"
#include "latchd/sa/sa_spans.h"

#define GROUP_RIVALS_FAMILIES 2

/* Work of one turn, in policies and selectors that are looked at: some milliseconds. */
#define GROUP_RIVALS_TURN 262144
/* Of it one group gets this much, then the next one. */
#define GROUP_RIVALS_SLICE 65536
/* Outside of turns the work of one turn may be done in this time. */
#define GROUP_RIVALS_TURN_MS 20

struct sa_group;
struct sa_groups;

/* Part of a group. */
struct group_rivals {
	struct sa_group *witness;    /* a group with other params, for a flow that the kernel may
					give either; NULL: none is known */
	struct sa_group *witness_of; /* the first of those that have this one as their witness */
	struct sa_group *next, *previous; /* of the same witness */
	bool undecided;			  /* it is not compared with all others yet */
	bool meets; /* the others have not been compared with it either; else it only seeks */
	bool shown; /* whether it was contested when its members were last told */
	size_t family; /* the search goes on in its tree, ... */
	bool began;    /* ... after this place */
	struct sa_place place;
	uint64_t order;
	struct sa_group *undecided_next, *undecided_previous;
};

bool group_rivals_contested(const struct sa_group *group);

/* The group, which is in the trees, begins to count, or is about to cease. */
void group_rivals_enter(struct sa_groups *groups, struct sa_group *group);
void group_rivals_leave(struct sa_groups *groups, struct sa_group *group);

/* The answers of choice have changed for the namespace. */
void group_rivals_recount(struct sa_groups *groups, uint64_t netns,
			  const struct choice_change *change);

/* One turn. Groups that have become contested or no longer are, are noted as stale. */
void group_rivals_decide(struct sa_groups *groups);
bool group_rivals_are_decided(const struct sa_groups *groups);

#endif
