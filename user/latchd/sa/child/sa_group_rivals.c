/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_group_rivals.h"

#include <utlist.h>

#include "latchd/sa/child/child_sa.h"

static struct sa_group **stale_list(struct sa_groups *groups, bool relieved)
{
	return relieved ? &groups->relieved : &groups->stale;
}

void sa_groups_forget_stale(struct sa_groups *groups, struct sa_group *group)
{
	if (!group->stale)
		return;
	DL_DELETE2(*stale_list(groups, group->relieved), group, stale_previous, stale_next);
	group->stale = group->relieved = false;
}

void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group)
{
	sa_groups_forget_stale(groups, group);
	group->stale = true;
	group->relieved = !group->rivals;
	DL_APPEND2(*stale_list(groups, group->relieved), group, stale_previous, stale_next);
}

struct sa_group *sa_groups_take_stale(struct sa_groups *groups, bool relieved)
{
	struct sa_group *group = *stale_list(groups, relieved);

	if (group)
		sa_groups_forget_stale(groups, group);
	return group;
}

/* change: 1 or -1. Only the first and the last rival change the marks. */
static void change_rivals(struct sa_groups *groups, struct sa_group *group, int change)
{
	bool contested = group->rivals > 0;

	group->rivals += (unsigned int)change;
	if ((group->rivals > 0) != contested)
		sa_groups_note_stale(groups, group);
}

static struct choice_claim claim_of(const struct sa_group *group)
{
	const struct feed_child *reported = &group->members->reported;

	return (struct choice_claim){&group->way, &reported->local_ts, &reported->remote_ts};
}

/* Is there a flow that the kernel may give either? */
static bool are_rivals(struct sa_groups *groups, const struct sa_group *one,
		       const struct sa_group *other)
{
	const struct choice_claim claim = claim_of(one), others = claim_of(other);

	groups->comparisons++;
	return child_sas_overlap(one->members, other->members) &&
	       choice_may_both_carry(groups->choice, one->members->netns, &claim, &others);
}

struct meeting {
	struct sa_groups *groups;
	struct sa_group *group;
	size_t family;
	int change;
	const struct sa_group *found;
};

/* Both may have addresses of both families. */
static bool has_met(const struct meeting *meeting, const struct sa_group *other)
{
	const struct sa_span *one = meeting->group->span, *two = other->span;
	size_t i;

	for (i = 0; i < meeting->family; i++)
		if (one[i].group && two[i].group && sa_spans_overlap(&one[i], &two[i]))
			return true;
	return false;
}

static int meet(void *context, struct sa_group *other)
{
	struct meeting *meeting = context;

	if (other->params == meeting->group->params || has_met(meeting, other))
		return 0;
	if (!are_rivals(meeting->groups, meeting->group, other))
		return 0;
	change_rivals(meeting->groups, meeting->group, meeting->change);
	change_rivals(meeting->groups, other, meeting->change);
	return 0;
}

static const struct sa_group *search_rivals(struct sa_groups *groups, struct sa_group *group,
					    sa_span_visit_fn visit, int change)
{
	struct meeting meeting = {.groups = groups, .group = group, .change = change};
	size_t i;

	for (i = 0; i < SA_GROUPS_FAMILIES; i++) {
		const struct sa_span *span = &group->span[i];

		meeting.family = i;
		if (span->group)
			sa_spans_search(&groups->spans[i], &span->first, &span->last, visit,
					&meeting);
	}
	return meeting.found;
}

void sa_group_rivals_change(struct sa_groups *groups, struct sa_group *group, int change)
{
	search_rivals(groups, group, meet, change);
}

static int is_rival(void *context, struct sa_group *other)
{
	struct meeting *meeting = context;

	if (other->params == meeting->group->params ||
	    !are_rivals(meeting->groups, meeting->group, other))
		return 0;
	meeting->found = other;
	return 1;
}

const struct sa_group *sa_groups_find_rival(struct sa_groups *groups, struct sa_group *group)
{
	return group->rivals ? search_rivals(groups, group, is_rival, 0) : NULL;
}

/* ---- all of a namespace anew */

static int meet_later(void *context, struct sa_group *other)
{
	struct meeting *meeting = context;
	struct sa_group *group = meeting->group;

	if (other->number <= group->number || other->params == group->params ||
	    has_met(meeting, other) || !are_rivals(meeting->groups, group, other))
		return 0;
	group->rivals++;
	other->rivals++;
	return 0;
}

void sa_groups_recount(struct sa_groups *groups, uint64_t netns)
{
	struct sa_group *group;

	DL_FOREACH2(groups->first, group, next)
	{
		group->was_contested = group->rivals > 0;
		if (group->members->netns == netns)
			group->rivals = 0;
	}
	DL_FOREACH2(groups->first, group, next)
	{
		if (group->members->netns == netns)
			search_rivals(groups, group, meet_later, 0);
	}
	DL_FOREACH2(groups->first, group, next)
	{
		if (group->was_contested != (group->rivals > 0))
			sa_groups_note_stale(groups, group);
	}
}
