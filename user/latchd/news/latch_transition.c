/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/news/latch_transition.h"

#include <errno.h>
#include <stdbool.h>

#include "latch_mode.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

static int take(const struct kernel_maps *maps, const struct latch_transition *t,
		union latch_word *ret_word)
{
	switch (t->kind) {
	case LATCH_TRANSITION_BREAK:
		return latch_break(maps, t->flow, t->latch->id, t->cause.reason, ret_word);
	case LATCH_TRANSITION_HEAL:
		return latch_heal(maps, t->flow, t->latch->id, t->cause.reason, ret_word);
	}
	return -EINVAL;
}

/* After a break: was the latch ESTABLISHED? After a heal: is no other reason left? */
static bool is_news(const struct latch_transition *t, union latch_word now)
{
	return t->kind == LATCH_TRANSITION_BREAK ? now.reasons == t->cause.reason
						 : now.state == LATCH_STATE_ESTABLISHED;
}

/* A break is decided by the present mode, a heal by the mode of its break. */
static bool is_audited(const struct kernel_maps *maps, const struct latch_transition *t)
{
	uint32_t mode = mode_read(maps);

	return !(t->latch->rule_flags & LATCH_RULE_WISHED) &&
	       latch_mode_passes(mode,
				 t->kind == LATCH_TRANSITION_BREAK ? mode : t->latch->decided);
}

int latch_transition(const struct kernel_maps *maps, const struct news_bus *news,
		     const struct latch_transition *t, union latch_word *ret_word)
{
	union latch_word now = {0};
	int result = take(maps, t, &now);

	if (result == LATCH_CONTROL_DONE && is_news(t, now))
		news_publish(news,
			     &(struct news){
				     .kind = t->kind == LATCH_TRANSITION_BREAK ? NEWS_LATCH_BROKEN
									       : NEWS_LATCH_HEALED,
				     .flow = t->flow,
				     .latch = t->latch,
				     .cause = t->cause,
				     .audited = is_audited(maps, t),
			     });
	if (result >= 0 && ret_word)
		*ret_word = now;
	return result;
}
