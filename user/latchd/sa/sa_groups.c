/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/sa_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "latchd/sa/child_sa.h"

static const uint8_t families[SA_GROUPS_FAMILIES] = {AF_INET, AF_INET6};

/* ---- the share of a peer at a remote host, or at all networks together */

struct sa_groups_share_key {
	uint64_t netns;
	uint8_t address[16];
	uint16_t peer;
	uint8_t family; /* 0: several hosts */
	uint8_t pad[5];
};

struct sa_groups_share {
	struct sa_groups_share_key key;
	struct sa_group *first;
	unsigned int count;
	UT_hash_handle hh;
};

static struct sa_groups_share_key share_key(const struct child_sa *child)
{
	struct sa_groups_share_key key = {.peer = child->peer};

	if (traffic_selector_set_host(&child->reported.remote_ts, &key.family, key.address))
		key.netns = child->netns;
	return key;
}

/* NULL when out of memory. */
static struct sa_groups_share *share_of(struct sa_groups *groups, const struct child_sa *child)
{
	const struct sa_groups_share_key key = share_key(child);
	struct sa_groups_share *share;

	HASH_FIND(hh, groups->shares, &key, sizeof(key), share);
	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->key = key;
	HASH_ADD(hh, groups->shares, key, sizeof(share->key), share);
	return share;
}

static void enter_share(struct sa_groups_share *share, struct sa_group *group)
{
	group->share = share;
	if (!share)
		return;
	DL_APPEND2(share->first, group, alike_previous, alike);
	share->count++;
}

static void free_unused_share(struct sa_groups *groups, struct sa_groups_share *share)
{
	if (!share || share->first)
		return;
	HASH_DELETE(hh, groups->shares, share);
	free(share);
}

static void leave_share(struct sa_groups *groups, struct sa_group *group)
{
	struct sa_groups_share *share = group->share;

	if (!share)
		return;
	DL_DELETE2(share->first, group, alike_previous, alike);
	share->count--;
	free_unused_share(groups, share);
}

/* ---- selectors */

static uint64_t digest_set(uint64_t digest, const struct traffic_selector_set *set)
{
	const uint8_t *bytes = (const uint8_t *)traffic_selector_set_at(set, 0);
	size_t i, length = set->count * sizeof(set->selector[0]);

	digest = (digest ^ (set->covers_all ? 1 : 2)) * 0x100000001b3;
	for (i = 0; i < length; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3;
	return digest;
}

/* FNV-1a: equal digests are compared in full. */
static uint64_t digest_of(const struct child_sa *child)
{
	uint64_t digest = digest_set(0xcbf29ce484222325, &child->reported.local_ts);

	return digest_set(digest, &child->reported.remote_ts);
}

static bool has_selectors(const struct sa_group *group, const struct child_sa *child,
			  uint64_t digest)
{
	return group->digest == digest && child_sas_same_selectors(group->members, child);
}

static struct sa_group *find_group(const struct sa_groups_share *share,
				   const struct child_sa *child, uint64_t digest)
{
	struct sa_group *group = share ? share->first : NULL;

	while (group && (group->params != child->params ||
			 memcmp(&group->way, &child->way, sizeof(child->way)) ||
			 !has_selectors(group, child, digest)))
		group = group->alike;
	return group;
}

/* ---- rivals */

static struct sa_group **stale_list(struct sa_groups *groups, bool relieved)
{
	return relieved ? &groups->relieved : &groups->stale;
}

static void forget_stale(struct sa_groups *groups, struct sa_group *group)
{
	if (!group->stale)
		return;
	DL_DELETE2(*stale_list(groups, group->relieved), group, stale_previous, stale_next);
	group->stale = group->relieved = false;
}

void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group)
{
	forget_stale(groups, group);
	group->stale = true;
	group->relieved = !group->rivals;
	DL_APPEND2(*stale_list(groups, group->relieved), group, stale_previous, stale_next);
}

struct sa_group *sa_groups_take_stale(struct sa_groups *groups, bool relieved)
{
	struct sa_group *group = *stale_list(groups, relieved);

	if (group)
		forget_stale(groups, group);
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

/* The group begins (1) or ceases (-1) to count. */
static void meet_all(struct sa_groups *groups, struct sa_group *group, int change)
{
	search_rivals(groups, group, meet, change);
}

/* ---- members */

/* A group has its selectors in memory once: a set may have many. */
static void share_set(struct traffic_selector_set *set, const struct traffic_selector_set *of)
{
	traffic_selector_set_hold(of);
	traffic_selector_set_release(set);
	*set = *of;
}

static void enter(struct sa_groups *groups, struct child_sa *child, struct sa_group *group)
{
	child->group = group;
	if (group->members) {
		share_set(&child->reported.local_ts, &group->members->reported.local_ts);
		share_set(&child->reported.remote_ts, &group->members->reported.remote_ts);
	}
	DL_APPEND2(group->members, child, member_previous, member_next);
	groups->of_peer[child->peer]++;
}

static void insert_spans(struct sa_groups *groups, struct sa_group *group,
			 const struct child_sa *child)
{
	size_t i;

	for (i = 0; i < SA_GROUPS_FAMILIES; i++) {
		struct sa_span *span = &group->span[i];

		if (!sa_span_measure(span, &child->reported.remote_ts, child->netns, families[i]))
			continue;
		span->group = group;
		sa_spans_insert(&groups->spans[i], span);
	}
}

static void remove_spans(struct sa_groups *groups, struct sa_group *group)
{
	size_t i;

	for (i = 0; i < SA_GROUPS_FAMILIES; i++)
		if (group->span[i].group)
			sa_spans_remove(&groups->spans[i], &group->span[i]);
}

static void note_ids(struct sa_groups_ids *ids, const struct sa_way *way)
{
	ids->several = ids->several || way->marked ||
		       (ids->known && (ids->in != way->if_id_in || ids->out != way->if_id_out));
	*ids = (struct sa_groups_ids){way->if_id_in, way->if_id_out, true, ids->several};
}

void sa_groups_forget_ids(struct sa_groups *groups)
{
	memset(groups->ids, 0, sizeof(groups->ids));
}

static void start_group(struct sa_groups *groups, struct child_sa *child, uint64_t digest,
			struct sa_groups_share *share)
{
	struct sa_group *group = child->spare;

	child->spare = NULL;
	*group = (struct sa_group){
		.params = child->params,
		.way = child->way,
		.number = groups->numbered++,
		.digest = digest,
	};
	note_ids(&groups->ids[child->params], &child->way);
	DL_APPEND2(groups->first, group, previous, next);
	enter(groups, child, group);
	enter_share(share, group);
	insert_spans(groups, group, child);
	meet_all(groups, group, 1);
}

static bool is_full(const struct sa_groups_share *share, uint16_t params)
{
	const struct sa_group *group;
	unsigned int count = 0;

	for (group = share ? share->first : NULL; group; group = group->alike)
		count += group->params == params;
	return count >= SA_GROUPS_PARAMS_MAX || (share && share->count >= SA_GROUPS_SHARE_MAX);
}

static int join(struct sa_groups *groups, struct child_sa *child, bool forced)
{
	uint64_t digest = digest_of(child);
	struct sa_groups_share *share;
	struct sa_group *group;

	if (groups->of_peer[child->peer] >= SA_GROUPS_PEER_MAX && !forced)
		return -EDQUOT;
	share = share_of(groups, child);
	group = find_group(share, child, digest);
	if (group) {
		enter(groups, child, group);
		return 0;
	}
	if (!forced && is_full(share, child->params))
		return -EDQUOT;
	start_group(groups, child, digest, share);
	return 0;
}

/*
 * Each CHILD_SA brings the memory of one group, so that none can lack it. A member that leaves
 * takes one along.
 */
static void take_spare(struct child_sa *child, struct sa_group *group)
{
	if (child->spare)
		return;
	child->spare = group->members->spare;
	group->members->spare = NULL;
}

void sa_groups_leave(struct sa_groups *groups, struct child_sa *child)
{
	struct sa_group *group = child->group;

	if (!group)
		return;
	child->group = NULL;
	groups->of_peer[child->peer]--;
	if (group->members->member_next) {
		DL_DELETE2(group->members, child, member_previous, member_next);
		take_spare(child, group);
		return;
	}
	remove_spans(groups, group);
	meet_all(groups, group, -1);
	leave_share(groups, group);
	forget_stale(groups, group);
	DL_DELETE2(groups->first, group, previous, next);
	child->spare = group;
}

static bool counts(const struct child_sa *child)
{
	return child->params && (child->in.in_kernel || child->out.in_kernel);
}

int sa_groups_update(struct sa_groups *groups, struct child_sa *child, bool forced)
{
	if (child->group && (!counts(child) || child->group->params != child->params ||
			     memcmp(&child->group->way, &child->way, sizeof(child->way))))
		sa_groups_leave(groups, child);
	return !child->group && counts(child) ? join(groups, child, forced) : 0;
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

/* ---- flows */

/* An interface id that the latch's own SAs do not have: the flow's packets pass another device. */
static bool has_other_device(const struct sa_groups *groups, const struct sa_group *group,
			     uint64_t netns, uint16_t params)
{
	const struct sa_groups_ids *ids = &groups->ids[params];
	const struct sa_way own = {.if_id_in = ids->in, .if_id_out = ids->out};

	return ids->known && !ids->several &&
	       choice_tells_apart(groups->choice, netns, &own, &group->way);
}

bool sa_groups_conflicts(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params)
{
	return group->params != params && child_sas_covers(group->members, flow) &&
	       !has_other_device(groups, group, flow->netns, params) &&
	       choice_may_carry(groups->choice, &group->way, flow);
}

struct flow_search {
	struct sa_groups *groups;
	const struct latch_flow *flow;
	const struct sa_group *found;
	uint16_t params;
};

static int is_conflicting(void *context, struct sa_group *group)
{
	struct flow_search *search = context;

	if (group->params == search->params)
		return 0;
	search->groups->comparisons++;
	if (!sa_groups_conflicts(search->groups, group, search->flow, search->params))
		return 0;
	search->found = group;
	return 1;
}

const struct sa_group *sa_groups_find_conflicting(struct sa_groups *groups,
						  const struct latch_flow *flow, uint16_t params)
{
	struct flow_search search = {.groups = groups, .flow = flow, .params = params};
	const struct sa_place place = sa_place_of(flow->netns, flow->remote_addr);
	size_t i;

	for (i = 0; i < SA_GROUPS_FAMILIES; i++)
		if (flow->family == families[i])
			sa_spans_search(&groups->spans[i], &place, &place, is_conflicting, &search);
	return search.found;
}
