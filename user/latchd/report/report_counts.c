/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/report_counts.h"

#include <time.h>

#include "common/loop.h"
#include "latchd/maps/tables.h"

#define SHARE 5 /* of the time, for walks of members over large tables */

static void count_state(struct report_state_counts *counts, unsigned int state)
{
	counts->all++;
	if (state < REPORT_STATES_MAX)
		counts->of[state]++;
}

struct latch_walk {
	struct report_counts *counts;
	const struct netfilter_netns *netns;
};

static int count_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct latch_walk *walk = context;

	count_state(&walk->counts->latches, latch->word.state);
	if (latch->word.state == LATCH_STATE_LARVAL)
		walk->counts->foreign_larval +=
			netfilter_netns_is_foreign(walk->netns, flow->netns);
	return 0;
}

static int count_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct report_counts *counts = context;

	(void)key;
	if (sa->word.flags & LATCH_SA_GONE)
		return 0;
	count_state(&counts->sas, sa->word.state);
	counts->contested += (sa->word.flags & LATCH_SA_CONTESTED) != 0;
	return 0;
}

/* Counts processor time, so other processes have no effect. */
static uint64_t age_limit_ms(clock_t begun)
{
	uint64_t took_ms = (uint64_t)(clock() - begun) * 1000 / CLOCKS_PER_SEC;

	return REPORT_COUNTS_AGE_MS > SHARE * took_ms ? REPORT_COUNTS_AGE_MS : SHARE * took_ms;
}

static int count(struct report_counts *counts, const struct kernel_maps *maps,
		 const struct netfilter_netns *netns)
{
	struct report_counts now = {.walks = counts->walks + 1};
	struct latch_walk walk = {.counts = &now, .netns = netns};
	clock_t begun = clock();
	int err = latches_walk(maps, count_latch, &walk);

	if (!err)
		err = sas_walk(maps, count_sa, &now);
	now.due_ms = err ? 0 : loop_now_ms() + age_limit_ms(begun);
	*counts = now;
	return err;
}

int report_counts_take(struct report_counts *counts, const struct kernel_maps *maps,
		       const struct netfilter_netns *netns, bool fresh)
{
	if (!fresh && loop_now_ms() < counts->due_ms)
		return 0;
	return count(counts, maps, netns);
}
