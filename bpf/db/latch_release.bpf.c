/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a latch, and of no later one in its memory. */
#include "db/latch_db.h"

#define RELEASE_TRIES 16 /* a failed try means that another CPU completed a step */

__noinline int latch_release_once(const struct latch_flow *flow, struct latch *latch,
				  struct latch_end *end)
{
	if (!flow || !latch || !end)
		return LATCH_CONTROL_NOT_FOUND;
	return latch_step(flow, latch, end->id, LATCH_TRIGGER_RELEASE, 0, &end->word);
}

__noinline int latch_release(const struct latch_flow *flow, struct latch *latch, __u64 id)
{
	int result = LATCH_CONTROL_AGAIN, i;
	struct latch_end end = {};

	if (!flow || !latch)
		return LATCH_CONTROL_NOT_FOUND;
	latch_end_of(latch, id, &end);
	for (i = 0; i < RELEASE_TRIES && result == LATCH_CONTROL_AGAIN; i++)
		result = latch_release_once(flow, latch, &end);
	/* UNCHANGED: its event was sent when it closed. */
	if (result == LATCH_CONTROL_DONE || result == LATCH_CONTROL_UNCHANGED)
		latch_remove(flow, latch, id);
	if (result == LATCH_CONTROL_DONE)
		latch_closed_event(flow, &end);
	return result == LATCH_CONTROL_UNCHANGED ? LATCH_CONTROL_DONE : result;
}
