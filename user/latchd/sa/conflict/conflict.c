/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/conflict.h"

#include <errno.h>

#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/news/latch_transition.h"
#include "latchd/sa/child/sa_group_rivals.h"

bool conflict_is_contested(const struct child_sa *child)
{
	return child->group && sa_group_rivals_contested(child->group);
}

/* 0 also when the latch is gone: then there is no conflict. */
static int break_latch(const struct conflict_view *view, const struct latch_flow *flow,
		       const struct latch *latch, uint16_t got)
{
	const struct latch_transition transition = {
		.kind = LATCH_TRANSITION_BREAK,
		.flow = flow,
		.latch = latch,
		.cause = {.reason = LATCH_REASON_SA_CONFLICT, .got = got},
	};
	int result = latch_transition(view->maps, view->news, &transition, NULL);

	return result < 0 ? result : 0;
}

struct break_walk {
	const struct conflict_view *view;
	const struct child_sa *child;
};

static int break_if_conflicting(void *context, const struct latch_flow *flow,
				const struct latch *latch)
{
	const struct break_walk *walk = context;

	if (!latch_is_live(latch) ||
	    !sa_groups_conflicts(&walk->view->child_sas->groups, walk->child->group, flow,
				 latch->word.params))
		return 0;
	return break_latch(walk->view, flow, latch, walk->child->params);
}

int conflict_break_latches(const struct conflict_view *view, const struct child_sa *child)
{
	struct break_walk walk = {view, child};

	return latches_walk(view->maps, break_if_conflicting, &walk);
}

static int heal_latch(const struct conflict_view *view, const struct latch_flow *flow,
		      const struct latch *latch)
{
	const struct latch_transition transition = {
		.kind = LATCH_TRANSITION_HEAL,
		.flow = flow,
		.latch = latch,
		.cause.reason = LATCH_REASON_SA_CONFLICT,
	};
	int result = latch_transition(view->maps, view->news, &transition, NULL);

	return result < 0 ? result : 0;
}

static int check_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct conflict_view *view = context;
	const struct sa_group *group;

	if (!latch_is_live(latch))
		return 0;
	group = sa_groups_find_conflicting(&view->child_sas->groups, flow, latch->word.params);
	if (group)
		return break_latch(view, flow, latch, group->params);
	if (latch->word.reasons & LATCH_REASON_SA_CONFLICT &&
	    view->may_heal(view->context, flow->netns) &&
	    !(view->is_held && view->is_held(view->context, latch->id)))
		return heal_latch(view, flow, latch);
	return 0;
}

int conflict_break_flow(const struct conflict_view *view, const struct latch_flow *flow,
			uint64_t latch_id, uint16_t got)
{
	struct latch latch;
	int err = latch_get(view->maps, flow, &latch);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (latch.id != latch_id || latch.word.state != LATCH_STATE_ESTABLISHED ||
	    latch.word.params == got)
		return 0;
	return break_latch(view, flow, &latch, got);
}

int conflict_check_flow(const struct conflict_view *view, const struct latch_flow *flow)
{
	struct latch latch;
	int err = latch_get(view->maps, flow, &latch);

	if (err)
		return err == -ENOENT ? 0 : err;
	return check_latch((void *)view, flow, &latch);
}

int conflict_check_all(const struct conflict_view *view)
{
	return latches_walk(view->maps, check_latch, (void *)view);
}
