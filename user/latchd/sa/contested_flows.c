/* SPDX-License-Identifier: BSD-2-Clause */
/* Decides over the first packets under contested SAs: attribution_refuses(). */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/attribution.h"
#include "latchd/sa/attribution_parts.h"
#include "latchd/sa/child/sa_group_pairs.h"

/* A CHILD_SA that is not known yet could be the rival of any other. */
static bool knows_all_rivals(const struct attribution *a, uint64_t netns)
{
	return !a->child_sas.uncounted && key_managers_are_synced(&a->key_managers, netns);
}

static void warn_of_decision(struct attribution *a, const struct latch_event *event, int err)
{
	unsigned int left_out;

	if (log_limit_admits(&a->pairs_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x contested, and no decision kept for the addresses of a flow "
			 "(%s): new connections between them fail; %u more since the last line",
			 event->sa.spi, strerror(-err), left_out);
}

/* Without a decision an SA that is still contested starts no latch. It may have been bound by hand.
 */
static bool is_contested_still(const struct attribution *a, const struct latch_sa_key *key)
{
	struct latch_sa sa;

	return !sa_get(a->maps, key, &sa) && sa.word.state == LATCH_SA_BOUND &&
	       sa.word.flags & LATCH_SA_CONTESTED;
}

/* The SPD is read if it was edited. NULL: nothing can be decided. */
static const struct sa_group *group_of(struct attribution *a, const struct latch_event *event)
{
	const struct child_sa_end *end = child_sas_find(&a->child_sas, &event->sa);

	if (!end || !knows_all_rivals(a, event->flow.netns))
		return NULL;
	if (a->choice && choice_is_stale(a->choice, event->flow.netns))
		choice_refresh(a->choice, event->flow.netns);
	return pair_decisions_follow(&a->pairs, a->child_sas.groups.changes) ? NULL
									     : end->child->group;
}

bool attribution_refuses(struct attribution *a, const struct latch_event *event)
{
	const struct sa_group *group = group_of(a, event);
	bool contested;
	int err;

	if (!group)
		return is_contested_still(a, &event->sa);
	contested = sa_groups_contest_pair(&a->child_sas.groups, group, &event->flow);
	err = pair_decisions_put(&a->pairs, &event->flow, group->params, contested);
	if (err)
		warn_of_decision(a, event, err);
	return contested || err == -ENOSPC;
}
