/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_group_rivals.h"

#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/loop.h"
#include "latchd/sa/child/child_sa.h"
#include "latchd/sa/child/sa_group_changes.h"

bool sa_group_rivals_contested(const struct sa_group *group)
{
	return group->rivals.rival || group->rivals.undecided;
}

/* ---- stale marks */

static struct sa_group **stale_list(struct sa_groups *groups, bool uncontested)
{
	return uncontested ? &groups->uncontested : &groups->stale;
}

void sa_groups_forget_stale(struct sa_groups *groups, struct sa_group *group)
{
	if (!group->stale)
		return;
	DL_DELETE2(*stale_list(groups, group->uncontested), group, stale_previous, stale_next);
	group->stale = group->uncontested = false;
}

void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group)
{
	sa_groups_forget_stale(groups, group);
	group->stale = true;
	group->uncontested = !sa_group_rivals_contested(group);
	DL_APPEND2(*stale_list(groups, group->uncontested), group, stale_previous, stale_next);
}

struct sa_group *sa_groups_take_stale(struct sa_groups *groups, bool uncontested)
{
	struct sa_group *group = *stale_list(groups, uncontested);

	if (group)
		sa_groups_forget_stale(groups, group);
	return group;
}

/* Notes the group only after a change: marks cost some system calls for each member. */
static void note_change(struct sa_groups *groups, struct sa_group *group)
{
	if (group->rivals.shown == sa_group_rivals_contested(group))
		return;
	group->rivals.shown = !group->rivals.shown;
	sa_groups_note_stale(groups, group);
}

/* ---- recorded rivals */

static void record_rival(struct sa_group *group, struct sa_group *rival)
{
	group->rivals.rival = rival;
	DL_APPEND2(rival->rivals.rival_of, group, rivals.previous, rivals.next);
}

static void clear_rival(struct sa_group *group)
{
	struct sa_group *rival = group->rivals.rival;

	if (!rival)
		return;
	DL_DELETE2(rival->rivals.rival_of, group, rivals.previous, rivals.next);
	group->rivals.rival = NULL;
}

/* ---- the groups that are not decided */

static void append(struct sa_groups *groups, struct sa_group *group)
{
	struct sa_group_turn *turn = &groups->turn_of[group->peer];

	if (!turn->first)
		DL_APPEND2(groups->turns, turn, previous, next);
	DL_APPEND2(turn->first, group, rivals.undecided_previous, rivals.undecided_next);
}

static void take_out(struct sa_groups *groups, struct sa_group *group)
{
	struct sa_group_turn *turn = &groups->turn_of[group->peer];

	DL_DELETE2(turn->first, group, rivals.undecided_previous, rivals.undecided_next);
	if (!turn->first)
		DL_DELETE2(groups->turns, turn, previous, next);
}

static void begin_search(struct sa_groups *groups, struct sa_group *group, bool both_ways)
{
	struct sa_group_rivals *rivals = &group->rivals;

	if (!rivals->undecided)
		append(groups, group);
	rivals->both_ways = rivals->both_ways || both_ways;
	rivals->undecided = true;
	rivals->family = 0;
	rivals->began = false;
}

static void end_search(struct sa_groups *groups, struct sa_group *group)
{
	if (!group->rivals.undecided)
		return;
	take_out(groups, group);
	group->rivals.undecided = group->rivals.both_ways = false;
}

/* Searches again for the groups that have recorded this one: they may have another rival. */
static void search_other_rivals(struct sa_groups *groups, struct sa_group *group)
{
	struct sa_group *other;

	while ((other = group->rivals.rival_of)) {
		clear_rival(other);
		begin_search(groups, other, false);
	}
}

/* ---- comparisons */

static struct choice_claim claim_of(const struct sa_group *group)
{
	const struct feed_child *reported = &group->members->reported;

	return (struct choice_claim){&group->way, &reported->local_ts, &reported->remote_ts};
}

/* Is there a flow for which the kernel may use either? */
static bool are_rivals(struct sa_groups *groups, const struct sa_group *one,
		       const struct sa_group *other)
{
	const struct choice_claim claim = claim_of(one), others = claim_of(other);

	groups->comparisons++;
	return child_sas_overlap(one->members, other->members, &groups->work) &&
	       choice_may_both_carry(groups->choice, one->members->netns, &claim, &others,
				     &groups->work);
}

struct comparison {
	struct sa_groups *groups;
	struct sa_group *group;
	uint64_t work_end;
};

/* Were both groups compared in the tree of an earlier family? Both may have addresses of both
 * families. */
static bool was_compared(const struct sa_group *group, const struct sa_group *other)
{
	const struct sa_span *one = group->span, *two = other->span;
	size_t i;

	for (i = 0; i < group->rivals.family; i++)
		if (one[i].group && two[i].group && sa_spans_overlap(&one[i], &two[i]))
			return true;
	return false;
}

/* Had the search passed this group before its last pause? */
static bool was_visited(const struct sa_group *group, const struct sa_group *other)
{
	const struct sa_span *span = &other->span[group->rivals.family];
	int order;

	if (!group->rivals.began)
		return false;
	order = memcmp(span->first.bytes, group->rivals.place.bytes, sizeof(span->first.bytes));
	return order ? order < 0 : span->order <= group->rivals.order;
}

static void note_visit(struct sa_group *group, const struct sa_group *other)
{
	const struct sa_span *span = &other->span[group->rivals.family];

	group->rivals.began = true;
	group->rivals.place = span->first;
	group->rivals.order = span->order;
}

/*
 * True: a comparison would change neither group. A group with a search that is not both ways was
 * compared with all others before. So groups without a recorded rival are no rivals of it.
 */
static bool needs_no_comparison(const struct sa_group *group, const struct sa_group *other)
{
	bool both_ways = group->rivals.both_ways || other->rivals.undecided;

	return other->params == group->params || was_compared(group, other) ||
	       (group->rivals.rival && other->rivals.rival) ||
	       (!both_ways && (group->rivals.rival || !other->rivals.rival));
}

static int compare(void *context, struct sa_group *other)
{
	struct comparison *comparison = context;
	struct sa_group *group = comparison->group;

	if (was_visited(group, other))
		return 0;
	note_visit(group, other);
	comparison->groups->work++;
	if (needs_no_comparison(group, other) || !are_rivals(comparison->groups, group, other))
		return comparison->groups->work >= comparison->work_end;
	if (!group->rivals.rival)
		record_rival(group, other);
	if (!other->rivals.rival)
		record_rival(other, group);
	note_change(comparison->groups, other);
	return comparison->groups->work >= comparison->work_end;
}

/* True: the group has been compared with all others. */
static bool search(struct sa_groups *groups, struct sa_group *group, uint64_t most)
{
	struct comparison comparison = {groups, group, groups->work + most};
	struct sa_group_rivals *rivals = &group->rivals;

	while (rivals->family < SA_GROUPS_FAMILIES) {
		const struct sa_span *span = &group->span[rivals->family];

		if (span->group && sa_spans_search(&groups->spans[rivals->family], &span->first,
						   &span->last, compare, &comparison))
			return false;
		rivals->family++;
		rivals->began = false;
	}
	return true;
}

/* A group with many comparisons is moved behind the other groups of its peer. */
static void search_slice(struct sa_groups *groups, struct sa_group *group, uint64_t most)
{
	groups->work++;
	if (search(groups, group, most)) {
		end_search(groups, group);
		note_change(groups, group);
		return;
	}
	take_out(groups, group);
	append(groups, group);
}

/* The groups of one peer must not delay those of other peers, however many it has. */
static void peer_slice(struct sa_groups *groups, struct sa_group_turn *turn, uint64_t most)
{
	uint64_t end = groups->work + most;

	while (turn->first && groups->work < end)
		search_slice(groups, turn->first, end - groups->work);
	if (!turn->first)
		return;
	DL_DELETE2(groups->turns, turn, previous, next);
	DL_APPEND2(groups->turns, turn, previous, next);
}

static void note_undecided(struct sa_groups *groups)
{
	struct sa_group_turn *turn;
	struct sa_group *group;

	DL_FOREACH2(groups->turns, turn, next)
	{
		DL_FOREACH2(turn->first, group, rivals.undecided_next)
		{
			note_change(groups, group);
		}
	}
}

static void decide(struct sa_groups *groups, uint64_t most)
{
	uint64_t end = groups->work + most, left;

	while (groups->turns && groups->work < end) {
		left = end - groups->work;
		peer_slice(groups, groups->turns,
			   left < SA_GROUP_RIVALS_SLICE ? left : SA_GROUP_RIVALS_SLICE);
	}
	note_undecided(groups);
}

/* Does the rest of one turn's work. Events in quick succession share the work of one turn. */
static void decide_at_once(struct sa_groups *groups)
{
	uint64_t now = loop_now_ms(), before = groups->work;

	if (now - groups->turn_ms >= SA_GROUP_RIVALS_TURN_MS) {
		groups->turn_ms = now;
		groups->turn_left = SA_GROUP_RIVALS_TURN;
	}
	decide(groups, groups->turn_left);
	before = groups->work - before;
	groups->turn_left -= before < groups->turn_left ? before : groups->turn_left;
}

/* ---- changes of groups */

void sa_group_rivals_enter(struct sa_groups *groups, struct sa_group *group)
{
	sa_group_changes_add(groups, group, SA_GROUPS_BEGINS);
	begin_search(groups, group, true);
	decide_at_once(groups);
}

void sa_group_rivals_leave(struct sa_groups *groups, struct sa_group *group)
{
	sa_group_changes_add(groups, group, SA_GROUPS_CEASES);
	end_search(groups, group);
	clear_rival(group);
	search_other_rivals(groups, group);
	decide_at_once(groups);
}

static bool is_concerned(const struct sa_group *group, const struct choice_change *change)
{
	static const uint8_t families[SA_GROUPS_FAMILIES] = {AF_INET, AF_INET6};
	const struct sa_span *span;
	size_t i;

	for (i = 0; i < SA_GROUPS_FAMILIES; i++) {
		span = &group->span[i];
		if (span->group && choice_change_concerns(change, &group->way, families[i],
							  sa_place_address(&span->first),
							  sa_place_address(&span->last)))
			return true;
	}
	return false;
}

void sa_group_rivals_recount(struct sa_groups *groups, uint64_t netns,
			     const struct choice_change *change)
{
	struct sa_group *group;

	sa_group_changes_add_choice(groups, netns, change);
	DL_FOREACH2(groups->first, group, next)
	{
		if (group->members->netns != netns || !is_concerned(group, change))
			continue;
		clear_rival(group);
		search_other_rivals(groups, group);
		begin_search(groups, group, true);
	}
	decide_at_once(groups);
}

void sa_group_rivals_decide(struct sa_groups *groups)
{
	decide(groups, SA_GROUP_RIVALS_TURN);
}

bool sa_group_rivals_are_decided(const struct sa_groups *groups)
{
	return !groups->turns;
}
