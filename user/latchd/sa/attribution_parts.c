/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/attribution_parts.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "latchd/sa/binding/marks.h"
#include "latchd/sa/binding/preparation.h"
#include "latchd/sa/binding/sa_ends.h"

void attribution_settle_later(struct attribution *a)
{
	if (!loop_timer_armed(&a->settle))
		loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

void attribution_warn_and_check_again(struct attribution *a, const char *latches, int err)
{
	unsigned int left_out;

	if (log_limit_admits(&a->check_log, &left_out))
		log_warn(NULL,
			 "conflicts of %s not checked (%s); checking all in 1 s; %u more since the "
			 "last line",
			 latches, strerror(-err), left_out);
	loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

/* ---- CHILD_SAs that end */

/* After the last CHILD_SA of its group has ended, latches may heal. */
static bool is_last(const struct child_sa *child)
{
	return child->params && (!child->group || !child->group->members->member_next);
}

void attribution_forget_child(struct attribution *a, struct child_sa *child)
{
	bool last = is_last(child);

	child_sas_remove(&a->child_sas, child);
	if (marks_update(&a->binding) || last)
		loop_timer_arm(&a->settle, walk_pace_wait_ms(&a->walks));
}

/* The SAs of a CHILD_SA without params may still be installed, unless it was deleted. */
void attribution_forget_if_ended(struct attribution *a, struct child_sa *child)
{
	int there = child->params || child->deleted ? sa_ends_check(&a->binding, child) : 1;

	if (!there)
		attribution_forget_child(a, child);
	a->recheck = a->recheck || there < 0;
}

void attribution_end_child(struct attribution *a, struct child_sa *child)
{
	int err = binding_set_state(&a->binding, child);

	child->unmarked = err != 0;
	if (err)
		attribution_retry_to_bind(a, err);
}

/* Later lists report these CHILD_SAs again. An SA without a peer causes such a list. */
void attribution_drop_absent(struct attribution *a)
{
	struct child_sa *child, *next;

	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		if (child_sas_is_superfluous(&a->child_sas, child))
			attribution_forget_child(a, child);
	}
}

/* ---- reports that could not be bound */

/*
 * The SAs of a CHILD_SA that could not be bound stay pending. SAs that an earlier latchd has
 * bound may lack a mark, or conflict with a latch.
 */
void attribution_retry_to_bind(struct attribution *a, int err)
{
	if (err == -ENOENT)
		pending_sas_missing(&a->pending_sas);
	else
		pending_sas_check_soon(&a->pending_sas);
	/* A final error causes no walk over all latches: peers choose how many reports have one. */
	if (!preparation_is_final(err) && err != -EINPROGRESS)
		attribution_settle_later(a);
}
