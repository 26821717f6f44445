/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a latch, and of no later one in its memory. */
#include "db/latch_db.h"

#define RELEASE_TRIES 16 /* a failed try means that another CPU completed a step */

__noinline int latch_release(const struct latch_flow *flow, struct latch *latch, __u64 id)
{
	enum latch_control_result result = LATCH_CONTROL_AGAIN;
	union latch_word after;
	struct latch_end end = {};
	int i;

	if (!flow || !latch)
		return LATCH_CONTROL_NOT_FOUND;
	latch_end_of(latch, id, &end);
	for (i = 0; i < RELEASE_TRIES && result == LATCH_CONTROL_AGAIN; i++)
		result = latch_step(flow, latch, id, LATCH_TRIGGER_RELEASE, 0, &after);
	/* UNCHANGED: its event was sent when it closed. */
	if (result == LATCH_CONTROL_DONE || result == LATCH_CONTROL_UNCHANGED)
		latch_remove(flow, latch, id);
	if (result == LATCH_CONTROL_DONE)
		latch_closed_event(flow, &end, after);
	return result == LATCH_CONTROL_UNCHANGED ? LATCH_CONTROL_DONE : (int)result;
}
