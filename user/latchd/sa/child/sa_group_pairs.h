/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contests between two addresses. A group is contested if any of its flows is. This decides for the
 * flows between two addresses alone, whatever their protocol and ports (RFC 5660, section 2.3).
 */
#ifndef LATCHD_SA_CHILD_SA_GROUP_PAIRS_H
#define LATCHD_SA_CHILD_SA_GROUP_PAIRS_H

#include "latchd/sa/child/sa_group_changes.h"

/*
 * Groups, selectors and policies that are looked at for one answer: some two milliseconds. Beyond
 * this number it is "contested".
 */
#define SA_GROUP_PAIRS_WORK 65536
/*
 * The same for the search for the rival in a report: a tenth of a millisecond. Beyond this number
 * no rival is named. As much again finds what both have in common, on each side.
 */
#define SA_GROUP_PAIRS_REPORT 4096
/* So are more groups than these with the params of the flow's SA, for two addresses. */
#define SA_GROUP_PAIRS_OWN 64

/*
 * May the kernel use an SA with other params than the group's for a flow between the addresses of
 * this one? If in question, the answer is yes.
 */
bool sa_groups_contest_pair(struct sa_groups *groups, const struct sa_group *group,
			    const struct latch_flow *flow);

/*
 * The first group that contests the flow, for reports. NULL: there is none, or it takes more work
 * than SA_GROUP_PAIRS_REPORT. Without a group (of unclear addresses, too many to look at) it is not
 * known either.
 */
const struct sa_group *sa_groups_rival_of_pair(struct sa_groups *groups,
					       const struct sa_group *group,
					       const struct latch_flow *flow);

/*
 * The answer "no" for these addresses and params, and what has changed since. A group that began is
 * looked at alone, so the number of groups of its peer is no work.
 */
struct sa_groups_alone {
	const struct latch_pair *pair;
	uint16_t peer;	    /* with these params */
	uint64_t numbered;  /* sa_groups.numbered when it was given */
	unsigned int scope; /* of sa_group_changes.h */
};

/* May the answer stay? False also if it takes more work, or if the last read of the SPD has failed.
 */
bool sa_groups_leave_alone(struct sa_groups *groups, const struct sa_groups_alone *alone,
			   uint64_t work);

#endif
