/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs with the same traffic selectors and params, and the table of all these groups. The
 * shares of a peer have their sizes here.
 */
#ifndef LATCHD_SA_CHILD_SA_GROUP_H
#define LATCHD_SA_CHILD_SA_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/choice/choice.h"
#include "latchd/sa/child/sa_spans.h"

/* Groups of one peer and params with one remote host, or with several. */
#define SA_GROUPS_PARAMS_MAX 512
/*
 * Groups of one peer, of any params. While a peer rekeys to another proposal it has its groups
 * twice.
 */
#define SA_GROUPS_SHARE_MAX (2 * SA_GROUPS_PARAMS_MAX)
/*
 * CHILD_SAs of one peer. With two SAs each they fill half of the share of one remote address in the
 * SA table. The other half is for other peers there. A rekey of all CHILD_SAs doubles their number,
 * so a CHILD_SA with new selectors is admitted up to half of the bound only.
 */
#define SA_GROUPS_PEER_MAX     4096
#define SA_GROUPS_PEER_NEW_MAX (SA_GROUPS_PEER_MAX / 2)

#define SA_GROUPS_FAMILIES 2

struct child_sa;
struct sa_groups_share;

/* The rivals of a group: sa_group_rivals.h. */
struct sa_group_rivals {
	struct sa_group *rival;	   /* a group with other params, for a flow that the kernel may
					give either; NULL: none is known */
	struct sa_group *rival_of; /* the first of the groups that have recorded this one */
	struct sa_group *next, *previous; /* with the same rival recorded */
	bool undecided;			  /* the group is not compared with all others yet */
	bool both_ways;			  /* a comparison may give the other group its rival, too */
	bool shown;    /* the group was contested when its members last got their marks */
	size_t family; /* the search continues in the tree of this family, ... */
	bool began;    /* ... after this place */
	struct sa_place place;
	uint64_t order;
	struct sa_group *undecided_next, *undecided_previous;
};

/* The groups of one peer that are not decided. */
struct sa_group_turn {
	struct sa_group *first;
	struct sa_group_turn *next, *previous; /* of all peers with such groups */
};

struct sa_group {
	uint16_t params;
	uint16_t peer; /* as of its members */
	struct sa_way way;
	uint64_t number;
	uint64_t digest; /* of the selectors */
	struct child_sa *members;
	struct sa_group_rivals rivals;
	bool settled;	  /* the latches in conflict have been broken since it counts */
	bool stale;	  /* the marks of its members are not written yet */
	bool uncontested; /* ... and it is no longer contested */
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
	uint32_t others; /* groups with other ids, or with a mark: then the params do not show the
			    ids */
};

/*
 * A group has begun or ceased to count, or the SPD or a device has changed. It may concern flows to
 * the remote addresses from first to last (none, if first is the later one), and answers for SAs of
 * these params.
 */
enum sa_groups_cause {
	SA_GROUPS_CHOICE,
	SA_GROUPS_POLICY,
	SA_GROUPS_BEGINS,
	SA_GROUPS_CEASES
};

struct sa_groups_change {
	enum sa_groups_cause cause;
	struct sa_place first, last;
	uint8_t family;	 /* 0: both */
	uint16_t params; /* 0: none */
	/* Held: of a group. It concerns these addresses of the range. No selector: all of the
	 * range. */
	struct traffic_selector_set remote;
};

#define SA_GROUPS_CHANGES 128 /* the last ones are known: more than one read of the SPD makes */

struct sa_groups { /* zeroed before first use */
	struct sa_spans spans[SA_GROUPS_FAMILIES];
	struct sa_groups_share *shares;
	struct sa_group *stale;	      /* contested */
	struct sa_group *uncontested; /* not contested */
	struct sa_group_turn *turns;
	struct sa_group *first;
	uint64_t numbered;
	uint64_t unshared;    /* groups without a share */
	uint64_t comparisons; /* of selectors */
	uint64_t changes;     /* so far: sa_group_changes.h */
	struct sa_groups_change changed[SA_GROUPS_CHANGES];
	uint64_t work, turn_left, turn_ms;		/* of sa_group_rivals.h */
	const struct choice *choice;			/* NULL: any overlap is a conflict */
	struct sa_groups_ids ids[LATCH_PARAMS_MAX + 1]; /* by params */
	uint32_t of_peer[LATCH_IDENTITIES_MAX +
			 1]; /* members, by the index of the peer's identity */
	struct sa_group_turn
		turn_of[LATCH_IDENTITIES_MAX + 1]; /* by the index of the peer's identity */
};

#endif
