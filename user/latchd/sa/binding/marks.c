/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/marks.h"

#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/log_limit.h"
#include "latchd/sa/binding/sa_ends.h"
#include "latchd/sa/child/sa_group_rivals.h"

#define MARKS_RETRY_MS 1000
/* CHILD_SAs that one turn of the loop clears, and the time until the next turn. */
#define MARKS_TURN    256
#define MARKS_TURN_MS 10

/* Warns once until the error changes: the mark is written again each second. */
static void warn_of_mark(const struct binding *b, const struct child_sa *child, int err)
{
	unsigned int left_out;

	if (child->mark_error != err && log_limit_admits(b->marks_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x not marked as contested (%s): feed %s; retrying; %u more since "
			 "the last line",
			 child->in.key.spi, strerror(-err), child->feed->name, left_out);
}

/* After an error the child stays unmarked, so that the next call tries again. */
int marks_write(const struct binding *b, struct child_sa *child, bool contested)
{
	int err;

	child->contested = contested;
	err = sa_ends_write(b, child);
	child->unmarked = err != 0;
	if (err)
		warn_of_mark(b, child, err);
	child->mark_error = err;
	return err;
}

static int update_contested(const struct binding *b, struct child_sa *child)
{
	bool contested = conflict_is_contested(child);

	if (contested == child->contested && !child->unmarked)
		return 0;
	return marks_write(b, child, contested);
}

static int update_group(const struct binding *b, struct sa_group *group)
{
	struct child_sa *child;
	int err, first = 0;

	DL_FOREACH2(group->members, child, member_next)
	{
		err = update_contested(b, child);
		first = first ? first : err;
	}
	return first;
}

/* A group with a failed mark stays stale. No CHILD_SA is bound before all marks are set. */
static int set_all(const struct binding *b)
{
	struct sa_groups *groups = &b->child_sas->groups;
	struct sa_group *group;
	int err, left, first = 0;

	DL_COUNT2(groups->stale, group, left, stale_next);
	while (left-- && (group = sa_groups_take_stale(groups, false))) {
		err = update_group(b, group);
		if (err)
			sa_groups_note_stale(groups, group);
		first = first ? first : err;
	}
	return first;
}

static int clear_group(const struct binding *b, struct sa_group *group, unsigned int *left)
{
	struct child_sa *child;
	int err, first = 0;

	for (child = group->members; child && *left; child = child->member_next) {
		*left -= child->contested || child->unmarked;
		err = update_contested(b, child);
		first = first ? first : err;
	}
	if (child || first)
		sa_groups_note_stale(&b->child_sas->groups, group);
	return first;
}

/* A peer may have thousands of CHILD_SAs in one group, or thousands of groups. */
static int clear_some(const struct binding *b)
{
	struct sa_groups *groups = &b->child_sas->groups;
	unsigned int left = MARKS_TURN;
	int err = 0;

	walk_pace_begin(b->marking);
	while (!err && left && groups->uncontested)
		err = clear_group(b, sa_groups_take_stale(groups, true), &left);
	walk_pace_end(b->marking);
	if (groups->uncontested)
		walk_pace_hold(b->marking, MARKS_TURN_MS);
	return err;
}

void marks_clear(const struct binding *b)
{
	struct sa_groups *groups = &b->child_sas->groups;
	int err = 0;

	if (b->child_sas->uncounted)
		return;
	if (groups->uncontested && !walk_pace_wait_ms(b->marking))
		err = clear_some(b);
	if (groups->uncontested && !loop_timer_armed(b->clear))
		loop_timer_arm(b->clear, err ? MARKS_RETRY_MS : walk_pace_wait_ms(b->marking));
}

static void decide_later(const struct binding *b)
{
	if (sa_group_rivals_are_decided(&b->child_sas->groups))
		return;
	walk_pace_hold(b->marking, MARKS_TURN_MS);
	if (!loop_timer_armed(b->clear))
		loop_timer_arm(b->clear, walk_pace_wait_ms(b->marking));
}

/* Decisions over flows under contested SAs were made without the groups that count now. */
int marks_update(const struct binding *b)
{
	int forgotten, err;

	walk_pace_begin(b->marking);
	forgotten = pair_decisions_follow(b->pairs, &b->child_sas->groups);
	err = set_all(b);
	walk_pace_end(b->marking);
	marks_clear(b);
	decide_later(b);
	return forgotten ? forgotten : err;
}

int marks_decide(const struct binding *b)
{
	walk_pace_begin(b->marking);
	sa_group_rivals_decide(&b->child_sas->groups);
	walk_pace_end(b->marking);
	return marks_update(b);
}

int marks_retry(const struct binding *b)
{
	struct child_sa *child;
	int err, first = 0;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		err = child->unmarked ? update_contested(b, child) : 0;
		first = first ? first : err;
	}
	return first;
}
