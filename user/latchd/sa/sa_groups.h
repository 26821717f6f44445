/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs that count in conflicts, in groups: a group has the same traffic selectors and the
 * same params. A peer may have thousands of CHILD_SAs, but conflicts depend on groups only. Groups
 * with one remote host are found by that host, and few others can cover the same flows.
 */
#ifndef LATCHD_SA_SA_GROUPS_H
#define LATCHD_SA_SA_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"

/* Different selectors that one remote host, or all networks, may have with the same params. */
#define SA_GROUPS_ALIKE_MAX 512
/* CHILD_SAs of one peer: with two SAs each, a quarter of the SA table. */
#define SA_GROUPS_PEER_MAX 8192

struct child_sa;
struct sa_groups_host;

struct sa_group {
	uint16_t params;
	uint64_t digest; /* of the selectors */
	struct child_sa *members;
	unsigned int rivals; /* groups with other params that overlap */
	bool settled;	     /* the latches in conflict were broken while it counts */
	bool stale;	     /* rivals came or went: the marks of its members are not written yet */
	struct sa_groups_host *host;  /* NULL: in the list of several hosts */
	struct sa_group *next, *prev; /* of other params */
	struct sa_group *alike;	      /* of the same params and host */
	struct sa_group *stale_next, *stale_previous;
};

struct sa_groups { /* zeroed before first use */
	struct sa_groups_host *hosts;
	struct sa_group *several_hosts;
	struct sa_group *stale;
	uint64_t comparisons; /* of selectors */
	uint32_t of_peer[LATCH_IDENTITIES_MAX +
			 1]; /* members, by the index of the peer's identity */
};

/*
 * Puts the CHILD_SA into the group of its selectors and params if it counts, else takes it out of
 * its group. 0; -EDQUOT when the peer has SA_GROUPS_ALIKE_MAX other selectors, or
 * SA_GROUPS_PEER_MAX CHILD_SAs. forced: no limit.
 */
int sa_groups_update(struct sa_groups *groups, struct child_sa *child, bool forced);
void sa_groups_leave(struct sa_groups *groups, struct child_sa *child);

/* The next group with stale marks, which no longer are; NULL: none. */
struct sa_group *sa_groups_take_stale(struct sa_groups *groups);
void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group);

/* A group with params other than these that covers the flow, or NULL. */
const struct sa_group *sa_groups_find_conflicting(struct sa_groups *groups,
						  const struct latch_flow *flow, uint16_t params);

#endif
