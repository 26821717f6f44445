/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs that count in conflicts, in groups: a group has the same traffic selectors and the
 * same params. A peer may have thousands of CHILD_SAs, but conflicts depend on groups only. Groups
 * are found by the range of their remote addresses.
 */
#ifndef LATCHD_SA_SA_GROUPS_H
#define LATCHD_SA_SA_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/choice/choice.h"
#include "latchd/sa/group_rivals.h"

/* Groups of one peer and params with one remote host, or with several. */
#define SA_GROUPS_PARAMS_MAX 512
/*
 * The same whatever their params are: while a peer rekeys to another proposal it has its groups
 * twice.
 */
#define SA_GROUPS_SHARE_MAX (2 * SA_GROUPS_PARAMS_MAX)
/*
 * CHILD_SAs of one peer. With two SAs each they are half of what the SAs of one remote address may
 * have: the other half is for the other peers there.
 */
#define SA_GROUPS_PEER_MAX 4096

#define SA_GROUPS_FAMILIES GROUP_RIVALS_FAMILIES

struct child_sa;
struct sa_groups_share;

struct sa_group {
	uint16_t params;
	struct sa_way way;
	uint64_t number;
	uint64_t digest; /* of the selectors */
	struct child_sa *members;
	struct group_rivals rivals;
	bool settled;	    /* the latches in conflict were broken while it counts */
	bool stale;	    /* the marks of its members are not written yet */
	bool relieved;	    /* ... and it is no longer contested */
	struct sa_span span[SA_GROUPS_FAMILIES]; /* of remote addresses */
	struct sa_groups_share *share;		 /* NULL: memory was short */
	struct sa_group *alike, *alike_previous; /* of the same share */
	struct sa_group *stale_next, *stale_previous;
	struct sa_group *next, *previous; /* of all */
};

/* The way of the SAs with the same params, also after the SAs have ended. */
struct sa_groups_ids {
	struct sa_way way;
	bool known;
	uint32_t alike;	 /* groups with these interface ids */
	uint32_t others; /* with other ones, or with a mark: the params do not show the ids */
};

struct sa_groups { /* zeroed before first use */
	struct sa_spans spans[SA_GROUPS_FAMILIES];
	struct sa_groups_share *shares;
	struct sa_group *stale;	   /* contested */
	struct sa_group *relieved; /* not contested */
	struct sa_group *undecided;
	struct sa_group *first;
	uint64_t numbered;
	uint64_t comparisons;				/* of selectors */
	uint64_t work, turn_left, turn_ms;		/* of group_rivals.h */
	const struct choice *choice;			/* NULL: any overlap is a conflict */
	struct sa_groups_ids ids[LATCH_PARAMS_MAX + 1]; /* by params */
	uint32_t of_peer[LATCH_IDENTITIES_MAX +
			 1]; /* members, by the index of the peer's identity */
};

/*
 * Puts the CHILD_SA into the group of its selectors and params if it counts, else takes it out of
 * its group. 0; -EDQUOT when the peer has SA_GROUPS_PARAMS_MAX other groups of these params there,
 * SA_GROUPS_SHARE_MAX of any, or SA_GROUPS_PEER_MAX CHILD_SAs. forced: no limit.
 */
int sa_groups_update(struct sa_groups *groups, struct child_sa *child, bool forced);
void sa_groups_leave(struct sa_groups *groups, struct child_sa *child);

/* The next contested (relieved: or not) group with stale marks, which no longer are. NULL: none. */
struct sa_group *sa_groups_take_stale(struct sa_groups *groups, bool relieved);
void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group);

/* The table of params is empty. */
void sa_groups_forget_ids(struct sa_groups *groups);

/*
 * Is the SA's group, for this flow, in the place of a policy of the latch's peer that has just gone
 * and may come back (policy-grace)?
 */
bool sa_groups_stands_in(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params);

/*
 * May the kernel use an SA of the group for a flow that is latched to other params? RFC 5660
 * section 2.3 asks for the selectors only; RFC 4301's ordered SPD rules some of it out.
 */
bool sa_groups_conflicts(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params);

/* A group in conflict with a latch of these params, or NULL. */
const struct sa_group *sa_groups_find_conflicting(struct sa_groups *groups,
						  const struct latch_flow *flow, uint16_t params);

#endif
