/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs that key managers have reported, with their traffic selectors,
 * found by the key of either SA. The kernel's SA table holds no selectors, and
 * latchd needs them to find conflicts. Source of truth: the feeds' reports.
 */
#ifndef LATCHD_SA_CHILD_SAS_H
#define LATCHD_SA_CHILD_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "latch_abi.h"
#include "latchd/feeds/feed.h"
#include "latchd/sa/sa_groups.h"

/* One of a CHILD_SA's two SAs. */
struct child_sa_end {
	struct latch_sa_key key;
	struct child_sa *child;
	uint32_t serial;	    /* of the kernel's SA that is this end; 0 = not yet known */
	uint32_t mismatched_serial; /* of the last SA that was logged as not matching the report */
	bool in_kernel;		    /* at the last check */
	UT_hash_handle hh;
};

struct child_sa {
	struct feed *feed;
	uint64_t netns; /* cookie */
	struct feed_child reported;
	char evidence[32]; /* the event or list that reported it last */
	struct child_sa_end in, out;
	uint16_t params;  /* 0 until the kernel has the inbound SA */
	uint16_t peer;	  /* index of the peer's identity, while it is in a group */
	bool in_snapshot; /* the running snapshot has reported it */
	bool deleted;	  /* its key manager has deleted it; the kernel may still have its SAs */
	bool orphan;	  /* its key manager is lost */
	bool contested;	  /* another CHILD_SA with other params overlaps */
	bool unmarked;	  /* ... and the kernel's SAs may not have this mark yet */
	bool to_bind;	  /* binding_bind_snapshot() is about to bind it */
	bool waits;	  /* binding_bind_waiting() is to bind it */
	bool unsettled;	  /* latches in conflict may not be broken yet: no SA of it becomes BOUND */
	struct child_sa *next, *previous;
	struct sa_group *group; /* NULL: it does not count in conflicts */
	struct sa_group *spare; /* memory: see sa_groups.c */
	struct child_sa *member_next, *member_previous;
};

struct child_sas { /* zeroed before first use */
	struct child_sa_end *ends;
	struct child_sa *first;
	struct sa_groups groups;
};

/*
 * Returns the CHILD_SA of the reported SAs: a known one with the new report, or
 * a new one. The report is copied, feed is not. A known CHILD_SA that has only
 * one of the two keys is removed. NULL: out of memory, or both SAs have one key.
 */
struct child_sa *child_sas_learn(struct child_sas *child_sas, struct feed *feed, uint64_t netns,
				 const struct feed_child *reported, const char *evidence);
/* NULL: no key manager has reported this key. */
struct child_sa_end *child_sas_find(const struct child_sas *child_sas,
				    const struct latch_sa_key *key);
/* Frees the CHILD_SA. */
void child_sas_remove(struct child_sas *child_sas, struct child_sa *child);
void child_sas_clear(struct child_sas *child_sas);

/* The kernel's keys of the two reported SAs. */
void child_sas_keys(const struct feed_child *reported, uint64_t netns, struct latch_sa_key *ret_in,
		    struct latch_sa_key *ret_out);

/* RFC 5660 section 2.3: is the flow within the child's selectors? */
bool child_sas_covers(const struct child_sa *child, const struct latch_flow *flow);
/* Is there a flow that both cover? */
bool child_sas_overlap(const struct child_sa *a, const struct child_sa *b);
/* Do both have the same selectors, in the same namespace? */
bool child_sas_same_selectors(const struct child_sa *a, const struct child_sa *b);

#endif
