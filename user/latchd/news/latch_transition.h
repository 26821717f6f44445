/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one way to break or heal a latch and publish it. latch_control.h takes the step
 * alone, without news: for closing, which the programs report themselves (latch-closed).
 */
#ifndef LATCHD_NEWS_LATCH_TRANSITION_H
#define LATCHD_NEWS_LATCH_TRANSITION_H

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct latch_transition {
	enum latch_control_op op; /* LATCH_CONTROL_BREAK or LATCH_CONTROL_HEAL */
	const struct latch_flow *flow;
	const struct latch *latch; /* as it was read */
	struct news_cause cause;   /* its reason is set or cleared */
};

/*
 * Asks the program latch_control for the step; after that it publishes LATCH_BROKEN when
 * the latch has become BROKEN, or LATCH_HEALED when it is ESTABLISHED again. A reason that
 * comes or goes beside another is no news. Returns a value of enum latch_control_result or
 * a negative errno, as in latch_control.h. ret_word: the latch afterwards; may be NULL.
 */
int latch_transition(const struct kernel_maps *maps, const struct news_bus *news,
		     const struct latch_transition *transition, union latch_word *ret_word);

#endif
