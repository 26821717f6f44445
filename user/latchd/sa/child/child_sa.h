/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One CHILD_SA that a key manager has reported, and its traffic selectors, which cover flows of its
 * own network namespace.
 */
#ifndef LATCHD_SA_CHILD_CHILD_SA_H
#define LATCHD_SA_CHILD_CHILD_SA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "latch_abi.h"
#include "latchd/choice/sa_way.h"
#include "latchd/feeds/feed.h"

struct child_sa;

/* One of a CHILD_SA's two SAs. */
struct child_sa_end {
	struct latch_sa_key key;
	struct child_sa *child;
	uint32_t serial;	    /* of the kernel's SA that is this end; 0 = not yet known */
	uint32_t mismatched_serial; /* of the last SA that was logged as not matching the report */
	/* Serial of an outbound SA under this key that is not the end's; its value when the list
	 * began. */
	uint32_t found_serial, renewed_serial;
	bool in_kernel; /* at the last check */
	UT_hash_handle hh;
};

struct child_sa {
	struct feed *feed;
	uint64_t netns; /* cookie */
	struct feed_child reported;
	char evidence[32]; /* the event or list that reported it last */
	struct child_sa_end in, out;
	uint16_t params;    /* 0 until the kernel has the inbound SA */
	struct sa_way way;  /* while it is in a group: the way of the group */
	uint16_t peer;	    /* index of the peer's identity, while it is in a group */
	uint16_t newest_of; /* these params have this host's key from it; 0: none */
	bool in_snapshot;   /* the running snapshot has reported it */
	bool deleted;	    /* its key manager has deleted it; the kernel may still have its SAs */
	bool orphan;	    /* its key manager is lost */
	uint64_t listed_ns; /* CLOCK_BOOTTIME, begin of the last list that named it; 0: none */
	bool announced;	    /* an event has named it */
	uint64_t ended_ns;  /* CLOCK_BOOTTIME, time when it was deleted or became an orphan */
	bool contested;	    /* another CHILD_SA with other params overlaps */
	bool unmarked;	    /* ... and the kernel's SAs may not have this mark yet */
	int mark_error;	    /* of the last write of the mark */
	bool to_bind;	    /* binding_bind_snapshot() is about to bind it */
	bool waits;	    /* binding_bind_waiting() is to bind it */
	bool refused;	    /* the share of its peer is full */
	bool uncounted;	    /* counted in child_sas.uncounted: its SAs could not be read, so it may
			       count */
	bool absent;	    /* counted in child_sas.absent: its inbound SA is not in the table */
	bool unsettled; /* latches in conflict may not be broken yet: no SA of it becomes BOUND */
	struct child_sa *next, *previous;
	struct sa_group *group; /* NULL: the CHILD_SA does not count in conflicts */
	struct sa_group *spare; /* memory: see sa_groups.c */
	struct child_sa *member_next, *member_previous;
};

/* RFC 5660 section 2.3: is the flow within the child's selectors? */
bool child_sas_covers(const struct child_sa *child, const struct latch_flow *flow);
/* Is there a flow that both cover? looks: NULL, or grows by the number of selectors that are
 * read. */
bool child_sas_overlap(const struct child_sa *a, const struct child_sa *b, uint64_t *looks);
/* Do both have the same selectors, in the same namespace? */
bool child_sas_same_selectors(const struct child_sa *a, const struct child_sa *b);
/* Has the report the selectors of the known CHILD_SA? */
bool child_sas_has_selectors(const struct child_sa *child, const struct feed_child *reported);

#endif
