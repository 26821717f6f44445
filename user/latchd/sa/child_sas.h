/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the key managers have said: every CHILD_SA with its traffic selectors,
 * found by the key of either of its SAs. The kernel's SA table does not hold
 * the selectors, and latchd needs them to find conflicts.
 */
#ifndef LATCHD_SA_CHILD_SAS_H
#define LATCHD_SA_CHILD_SAS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "latch_abi.h"
#include "latchd/feeds/feed.h"

struct child;

/* One of a child's two SAs. */
struct child_end {
	struct latch_sa_key key;
	struct child *child;
	uint32_t serial; /* of the SA that was found to be this one; 0 = none yet */
	uint32_t misfit; /* of the SA that was called another one last */
	bool in_kernel;	 /* it was there when it was looked for last */
	UT_hash_handle hh;
};

struct child_place;

struct child {
	struct feed *feed;
	uint64_t netns;
	struct feed_child said;
	char evidence[32];
	struct child_end in, out;
	uint16_t params; /* 0 until its inbound SA was seen in the kernel */
	bool seen;	 /* in the snapshot that is running */
	bool given_up;	 /* its key manager has deleted it; the kernel may not have yet */
	bool orphan;	 /* its key manager is gone */
	bool contested;	 /* another child with other params overlaps */
	bool binding;	 /* among those that are bound together */
	struct child *next, *previous;
	struct child_place *place; /* NULL: among the wide ones */
	struct child *near_next, *near_previous;
};

struct children { /* zeroed before first use */
	struct child_end *ends;
	struct child *first;
	/* Most have a single host behind them, and then only few others can cover the same. */
	struct child_place *places;
	struct child *wide;
};

/* The child of these SAs: a known one with what is said now, or a new one. NULL: out of memory. */
struct child *child_sas_learn(struct children *children, struct feed *feed, uint64_t netns,
			      const struct feed_child *said, const char *evidence);
/* NULL when nobody has said whose it is. */
struct child_end *child_sas_find(const struct children *children, const struct latch_sa_key *key);
void child_sas_remove(struct children *children, struct child *child);
void child_sas_clear(struct children *children);

/* The keys that the kernel knows its two SAs by. */
void child_sa_keys(const struct feed_child *said, uint64_t netns, struct latch_sa_key *ret_in,
		   struct latch_sa_key *ret_out);

/* True ends the search. */
typedef bool (*child_match_fn)(void *context, struct child *child);

/* The first that matches of all that can cover the flow, or overlap with the child; else NULL. */
struct child *child_sas_search_flow(const struct children *children, const struct latch_flow *flow,
				    child_match_fn match, void *context);
struct child *child_sas_search_overlap(const struct children *children, const struct child *child,
				       child_match_fn match, void *context);

/* RFC 5660 section 2.3: is the flow within the child's selectors? */
bool child_covers(const struct child *child, const struct latch_flow *flow);
/* Is there a flow that both cover? */
bool child_sas_overlap(const struct child *a, const struct child *b);

#endif
