/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Breaks or heals a latch and publishes the transition. latch_control.h takes a step without
 * news. That is used for a close, which the programs report (event latch-closed). A close with a
 * socket that cannot be ended uses it, too (LATCH_RESET with an error). recovery.c also uses it,
 * and logs the number of latches.
 */
#ifndef LATCHD_NEWS_LATCH_TRANSITION_H
#define LATCHD_NEWS_LATCH_TRANSITION_H

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

enum latch_transition_kind {
	LATCH_TRANSITION_BREAK,
	LATCH_TRANSITION_HEAL,
};

struct latch_transition {
	enum latch_transition_kind kind;
	const struct latch_flow *flow;
	const struct latch *latch; /* the latch as it was read */
	struct news_cause cause;   /* its reason is set or cleared */
};

/*
 * Runs the program latch_control. After the step it publishes LATCH_BROKEN when the latch
 * became BROKEN, or LATCH_HEALED when the latch is ESTABLISHED again. A reason set or
 * cleared beside another reason is not published. Returns a value of enum
 * latch_control_result or a negative errno, as in latch_control.h. ret_word: the latch
 * after the step; may be NULL.
 */
int latch_transition(const struct kernel_maps *maps, const struct news_bus *news,
		     const struct latch_transition *transition, union latch_word *ret_word);

#endif
