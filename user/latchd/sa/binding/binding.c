/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/binding.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/log_limit.h"
#include "latchd/sa/binding/marks.h"
#include "latchd/sa/binding/preparation.h"
#include "latchd/sa/binding/sa_ends.h"

#define CHOICE_RETRY_MS 100

int binding_set_state(const struct binding *b, struct child_sa *child)
{
	bool counted = child->group;
	int err = sa_ends_write(b, child);

	sa_groups_update(&b->child_sas->groups, child, true);
	if (counted || !child->group) {
		marks_clear(b);
		return err;
	}
	/* The CHILD_SA counts again, and its SAs were not written. Rivals get their marks first. */
	marks_update(b);
	return err ? err : -EAGAIN;
}

/* ---- R-2.3-11: latches break before an SA is bound */

/*
 * broken: the error of the break of the latches in conflict. After an error an SA that an earlier
 * latchd has bound keeps its mark until marks_retry().
 */
static int settle(const struct binding *b, struct child_sa *child, int broken)
{
	int err = broken;

	if (!broken) {
		child->unsettled = false;
		if (child->group)
			child->group->settled = true;
		err = binding_set_state(b, child);
	}
	child->unmarked = err != 0;
	child->waits = err != 0;
	return err;
}

/* One walk over all latches is enough for a group. */
static int break_latches(const struct binding *b, const struct child_sa *child)
{
	unsigned int left_out;
	int err;

	if (!child->group || child->group->settled)
		return 0;
	walk_pace_begin(b->walks);
	err = conflict_break_latches(&b->view, child);
	walk_pace_end(b->walks);
	if (err && log_limit_admits(b->breaks_log, &left_out))
		log_error(NULL,
			  "sa 0x%08x unattributed (cannot break the latches in conflict: %s): feed "
			  "%s; retrying; %u more since the last line",
			  child->in.key.spi, strerror(-err), child->feed->name, left_out);
	return err;
}

/* Limits the time for walks over all latches. One later walk serves all CHILD_SAs that wait. */
static bool has_to_wait(const struct binding *b, struct child_sa *child)
{
	unsigned int wait_ms = walk_pace_wait_ms(b->walks);

	if (!child->group || child->group->settled || !wait_ms)
		return false;
	child->waits = true;
	if (!loop_timer_armed(b->later))
		loop_timer_arm(b->later, wait_ms);
	return true;
}

/*
 * A mark could not be written. The CHILD_SA counts, and binding_bind_waiting() binds it
 * later. Latches in conflict break now.
 */
static void break_at_once(const struct binding *b, struct child_sa *child)
{
	if (!b->child_sas->uncounted && !has_to_wait(b, child))
		break_latches(b, child);
}

/* True: the last read of SPD or devices failed, so a CHILD_SA that does not count yet has to wait.
 * A rekey does not wait. */
static bool has_old_choice(const struct binding *b, struct child_sa *child)
{
	if (child->group || choice_may_answer(b->choice, child->netns) ||
	    preparation_renews(b, child))
		return false;
	child->waits = true;
	if (!loop_timer_armed(b->later))
		loop_timer_arm(b->later, CHOICE_RETRY_MS);
	return true;
}

/*
 * A CHILD_SA that begins to count is compared with the others by the present SPD. Its key manager
 * may have edited the SPD for this CHILD_SA. A rekey does not wait for that. True: it is too
 * soon after the last read or walk, or the read has failed.
 */
static bool has_to_wait_for_choice(const struct binding *b, struct child_sa *child)
{
	unsigned int wait_ms = walk_pace_wait_ms(b->walks);

	if (child->group || !choice_is_stale(b->choice, child->netns) ||
	    preparation_renews(b, child))
		return false;
	if (wait_ms) {
		child->waits = true;
		if (!loop_timer_armed(b->later))
			loop_timer_arm(b->later, wait_ms);
		return true;
	}
	walk_pace_begin(b->walks);
	choice_refresh(b->choice, child->netns);
	walk_pace_end(b->walks);
	return has_old_choice(b, child);
}

int binding_bind(const struct binding *b, struct child_sa *child)
{
	bool up_to_date;
	int err;

	if (has_to_wait_for_choice(b, child))
		return -EINPROGRESS;
	err = preparation_run(b, child, &up_to_date);
	if (up_to_date && child->waits)
		break_at_once(b, child);
	if (up_to_date)
		return err;
	if (b->child_sas->uncounted)
		return settle(b, child, -EAGAIN);
	if (has_to_wait(b, child))
		return -EINPROGRESS;
	return settle(b, child, break_latches(b, child));
}

typedef bool (*child_filter)(const struct child_sa *child, const struct feed *feed);

static bool waits(const struct child_sa *child, const struct feed *feed)
{
	(void)feed;
	return child->waits;
}

static bool is_in_snapshot(const struct child_sa *child, const struct feed *feed)
{
	return child->feed == feed && child->in_snapshot;
}

/* Reads each namespace once. */
static void refresh_choice(const struct binding *b, child_filter filter, const struct feed *feed)
{
	struct child_sa *child;

	if (!b->choice)
		return;
	walk_pace_begin(b->walks);
	choice_refresh_stale(b->choice);
	DL_FOREACH2(b->child_sas->first, child, next)
	{
		if (!child->group && filter(child, feed) && !choice_knows(b->choice, child->netns))
			choice_refresh(b->choice, child->netns);
	}
	walk_pace_end(b->walks);
}

/*
 * The first error that a retry may mend, else the first error. Final errors, which a peer can
 * cause, must not hide one that can be mended.
 */
static int graver(int first, int err)
{
	bool hides = preparation_is_final(first) && !preparation_is_final(err);

	return !first || (err && hides) ? err : first;
}

/* Sets to_bind. Returns the error that graver() prefers, or 0. */
static int prepare_all(const struct binding *b, child_filter filter, const struct feed *feed,
		       bool *ret_any)
{
	struct child_sa *child;
	int err, first = 0;
	bool up_to_date;

	refresh_choice(b, filter, feed);
	DL_FOREACH2(b->child_sas->first, child, next)
	{
		if (!filter(child, feed) || has_old_choice(b, child))
			continue;
		err = preparation_run(b, child, &up_to_date);
		child->to_bind = !up_to_date;
		/* A CHILD_SA with a missing mark is not bound, but its latches in conflict
		 * break. */
		*ret_any = *ret_any || !up_to_date || (child->waits && child->group);
		first = graver(first, err);
	}
	return first;
}

static int check_all(const struct binding *b)
{
	int marked = b->child_sas->uncounted ? -EAGAIN : marks_retry(b), checked;

	/* Latches in conflict break even if a mark has failed. */
	walk_pace_begin(b->walks);
	checked = conflict_check_all(&b->view);
	walk_pace_end(b->walks);
	marks_clear(b);
	return marked ? marked : checked;
}

static int settle_all(const struct binding *b, int broken)
{
	struct child_sa *child;
	int err, first = 0;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		err = child->to_bind ? settle(b, child, broken) : 0;
		child->to_bind = false;
		first = graver(first, err);
	}
	return first;
}

/* Leaves all CHILD_SAs with to_bind to the next call of binding_bind_waiting(). */
static int postpone_all(const struct binding *b, unsigned int wait_ms)
{
	struct child_sa *child;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		child->waits = child->waits || child->to_bind;
		child->to_bind = false;
	}
	if (!loop_timer_armed(b->later))
		loop_timer_arm(b->later, wait_ms);
	return -EINPROGRESS;
}

int binding_bind_snapshot(const struct binding *b, const struct feed *feed, bool is_first)
{
	bool any = false;
	int broken, settled, first = prepare_all(b, is_in_snapshot, feed, &any);
	unsigned int wait_ms = is_first ? 0 : walk_pace_wait_ms(b->walks);

	if (!any)
		return first;
	if (wait_ms)
		return postpone_all(b, wait_ms);
	broken = check_all(b);
	if (broken)
		log_error(
			NULL,
			"sas of feed %s unattributed (cannot mark SAs or break latches in conflict: "
			"%s); retrying",
			feed->name, strerror(-broken));
	settled = settle_all(b, broken);
	return broken ? broken : graver(first, settled);
}

static bool any_waits(const struct binding *b)
{
	struct child_sa *child;

	DL_SEARCH_SCALAR2(b->child_sas->first, child, waits, true, next);
	return child;
}

int binding_bind_waiting(const struct binding *b, bool *ret_left)
{
	bool any = false;
	int broken;

	prepare_all(b, waits, NULL, &any);
	broken = check_all(b);
	settle_all(b, broken);
	*ret_left = any_waits(b);
	return broken;
}
