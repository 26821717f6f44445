/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers of latches and SAs by state, for status. Counting walks over both tables, and
 * members of the control group may request status at any rate. So requests share the numbers of
 * one walk.
 */
#ifndef LATCHD_REPORT_REPORT_COUNTS_H
#define LATCHD_REPORT_REPORT_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/enforce/netfilter/netfilter_netns.h"
#include "latchd/maps/kernel_maps.h"

#define REPORT_COUNTS_AGE_MS 1000 /* older numbers are counted again */
#define REPORT_STATES_MAX    8

struct report_state_counts {
	uint64_t all;
	uint64_t of[REPORT_STATES_MAX];
};

struct report_counts { /* zeroed before first use */
	struct report_state_counts latches, sas;
	uint64_t contested; /* SAs that start no latch, since SAs of another peer cover the same
			       traffic */
	uint64_t foreign_larval; /* LARVAL latches in namespaces of local users */
	uint64_t due_ms;	 /* loop_now_ms() at which the numbers are too old */
	uint64_t walks;
};

/* fresh: counts in any case. 0, or a negative errno: a table cannot be read whole. */
int report_counts_take(struct report_counts *counts, const struct kernel_maps *maps,
		       const struct netfilter_netns *netns, bool fresh);

#endif
