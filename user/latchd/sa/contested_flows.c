/* SPDX-License-Identifier: BSD-2-Clause */
/* Decides over the first packets under contested SAs, now or after the next read of the SPD. */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/attribution_parts.h"
#include "latchd/sa/child/sa_group_pairs.h"

#define START_MS 5000

/*
 * A CHILD_SA that is not known yet could be the rival of any other. One of a key manager that is
 * away is none: an SA of it is not bound, and its return is a list.
 */
static bool knows_all_rivals(const struct attribution *a, uint64_t netns)
{
	return !a->child_sas.uncounted && key_managers_have_listed(&a->key_managers, netns);
}

static void warn_of_decision(struct attribution *a, const struct latch_sa_key *sa, int err)
{
	unsigned int left_out;

	if (log_limit_admits(&a->pairs_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x contested, and no decision kept for the addresses of a flow "
			 "(%s): new connections between them fail; %u more since the last line",
			 sa->spi, strerror(-err), left_out);
}

/*
 * Without a decision an SA that is still contested starts no latch. It may have been bound by hand.
 * Key managers list their SAs soon after the start of latchd, and after their own. For some seconds
 * the packet is only lost.
 */
static bool is_contested_still(const struct attribution *a, const struct latch_sa_key *key)
{
	struct latch_sa sa;

	return loop_now_ms() - a->began_ms >= START_MS &&
	       !key_managers_list_soon(&a->key_managers, key->netns, START_MS) &&
	       !sa_get(a->maps, key, &sa) && sa.word.state == LATCH_SA_BOUND &&
	       sa.word.flags & LATCH_SA_CONTESTED;
}

/*
 * Reads the SPD if it was edited. False: not now. Peers choose the time of edits and local users
 * that of questions, so reads have a pace. The question is answered after the next read.
 */
static bool knows_spd(struct attribution *a, uint64_t netns)
{
	if (!a->choice || !choice_is_stale(a->choice, netns))
		return true;
	if (walk_pace_wait_ms(&a->walks))
		return false;
	walk_pace_begin(&a->walks);
	choice_refresh(a->choice, netns);
	walk_pace_end(&a->walks);
	return choice_may_answer(a->choice, netns);
}

static void keep_question(struct attribution *a, const struct latch_event *event)
{
	const struct child_sa_end *end = child_sas_find(&a->child_sas, &event->sa);

	if (!end || !end->child->group)
		return;
	late_questions_add(&a->late_questions,
			   &(struct late_question){.sa = event->sa,
						   .flow = event->flow,
						   .peer = end->child->group->peer});
	if (!loop_timer_armed(&a->answer))
		loop_timer_arm(&a->answer, walk_pace_wait_ms(&a->walks));
}

/* The programs search for a decision by the params of the SA. Those of its CHILD_SA may be others,
 * as its key manager has reported it anew. */
static bool has_params(const struct attribution *a, const struct latch_sa_key *key, uint16_t params)
{
	struct latch_sa sa;

	return !sa_get(a->maps, key, &sa) && sa.word.params == params;
}

/* NULL: nothing can be decided. */
static const struct sa_group *group_of(struct attribution *a, const struct latch_sa_key *sa,
				       const struct latch_flow *flow)
{
	const struct child_sa_end *end = child_sas_find(&a->child_sas, sa);

	if (!end || !end->child->group || !knows_all_rivals(a, flow->netns) ||
	    !has_params(a, sa, end->child->group->params))
		return NULL;
	return pair_decisions_follow(&a->pairs, &a->child_sas.groups) ? NULL : end->child->group;
}

/*
 * A peer may have many CHILD_SAs, each with many selectors, and ask all the time. The answers to
 * its own questions take a fifth of the time at most, as walks do. Cheap ones have no pace here:
 * the programs limit their number.
 */
#define WORK_OF_MS 32768

static uint64_t *due_of(struct attribution *a, const struct sa_group *group)
{
	return &a->questions_due_ms[group->peer];
}

static bool is_contested(struct attribution *a, const struct sa_group *group,
			 const struct latch_flow *flow)
{
	struct sa_groups *groups = &a->child_sas.groups;
	uint64_t before = groups->work;
	bool contested = sa_groups_contest_pair(groups, group, flow);

	*due_of(a, group) = loop_now_ms() + 4 * (groups->work - before) / WORK_OF_MS;
	return contested;
}

static bool decide(struct attribution *a, const struct sa_group *group,
		   const struct latch_sa_key *sa, const struct latch_flow *flow)
{
	bool contested;
	int err;

	if (loop_now_ms() < *due_of(a, group))
		return false;
	contested = is_contested(a, group, flow);
	err = pair_decisions_put(&a->pairs, flow, group, contested);
	if (err)
		warn_of_decision(a, sa, err);
	return contested;
}

bool attribution_decide(struct attribution *a, const struct latch_event *event)
{
	const struct sa_group *group;

	if (child_sas_find(&a->child_sas, &event->sa) && !knows_spd(a, event->flow.netns)) {
		keep_question(a, event);
		return false;
	}
	group = group_of(a, &event->sa, &event->flow);
	return group ? decide(a, group, &event->sa, &event->flow)
		     : is_contested_still(a, &event->sa);
}

/* An edit in the moment of the read does not count: its event ends what it concerns. The next
 * packet finds the decision. */
void attribution_answer(struct attribution *a)
{
	struct late_question question;
	const struct sa_group *group;

	while (late_questions_take(&a->late_questions, &question)) {
		group = choice_may_answer(a->choice, question.flow.netns)
				? group_of(a, &question.sa, &question.flow)
				: NULL;
		if (group)
			decide(a, group, &question.sa, &question.flow);
	}
	loop_timer_cancel(&a->answer);
}

/* A walk over all latches reads the SPD, too, and may have come first. */
void attribution_on_answer(void *context)
{
	struct attribution *a = context;
	unsigned int wait_ms = walk_pace_wait_ms(&a->walks);

	if (wait_ms) {
		loop_timer_arm(&a->answer, wait_ms);
		return;
	}
	walk_pace_begin(&a->walks);
	choice_refresh_stale(a->choice);
	walk_pace_end(&a->walks);
	attribution_answer(a);
}
