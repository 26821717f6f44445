/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Subscriber: records of latches that were broken or have ended, and of flows without a latch, for
 * "latchctl explain". Their number has a bound, see history_table.h. No state depends on the
 * records, which end with latchd.
 */
#ifndef LATCHD_HISTORY_HISTORY_H
#define LATCHD_HISTORY_HISTORY_H

#include "latchd/history/history_record.h"
#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct history;

struct history_sources {
	const struct kernel_maps *maps;
	const struct identities *identities;
	/* 1: the namespace is of another user namespace than the host's; 0; or a negative errno. */
	int (*is_foreign)(uint64_t netns);
	/* The name of the rule, or NULL. rule_set: -1 = the rules in force. */
	const char *(*rule_name)(const void *context, uint16_t rule, int rule_set);
	const void *context;
};

/* NULL: out of memory. */
struct history *history_new(struct news_bus *bus, const struct history_sources *sources);
/* Call it after the last news. */
void history_free(struct history *history);

/* Valid until the next news. NULL: there is none. */
const struct history_record *history_find(const struct history *history, enum history_kind kind,
					  uint64_t latch_id);
/* The newest record of the flow. Local port 0: any. */
const struct history_record *history_find_flow(const struct history *history,
					       enum history_kind kind,
					       const struct latch_flow *flow);

/* The reasons why records may be missing. Times are CLOCK_BOOTTIME. */
struct history_gaps {
	uint64_t since_ns;	/* records begin at this time */
	uint64_t lost, lost_ns; /* kernel events that were lost, and when that was last noticed */
	uint64_t replaced;	/* number of replaced records */
};
struct history_gaps history_gaps(const struct history *history);

/* The texts of params: known is false if they are not in the table. */
void history_side_of(const struct identities *identities, uint16_t params,
		     struct history_side *ret);

#endif
