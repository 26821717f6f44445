/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "latchd/sa/child/child_sa.h"
#include "latchd/sa/child/sa_group_rivals.h"
#include "latchd/sa/child/sa_group_share.h"

static const uint8_t families[SA_GROUPS_FAMILIES] = {AF_INET, AF_INET6};

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

/* ---- members */

/* All members share one copy of the selectors: a set may have many. */
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

static bool has_ids(const struct sa_groups_ids *ids, const struct sa_way *way)
{
	return !way->marked && ids->way.if_id_in == way->if_id_in &&
	       ids->way.if_id_out == way->if_id_out;
}

/* The ids of SAs that have ended count until a group with the same params has other ids. */
static void note_ids(struct sa_groups *groups, const struct sa_group *group)
{
	struct sa_groups_ids *ids = &groups->ids[group->params];

	if (!ids->alike && !ids->others && !group->way.marked) {
		ids->way = group->way;
		ids->known = true;
	}
	if (has_ids(ids, &group->way))
		ids->alike++;
	else
		ids->others++;
}

/* Only groups with other ids are left: takes the ids of one of them, and counts again. */
static void find_ids(struct sa_groups *groups, uint16_t params)
{
	struct sa_groups_ids *ids = &groups->ids[params];
	const struct sa_group *group;

	ids->others = 0;
	DL_FOREACH2(groups->first, group, next)
	{
		if (group->params == params)
			note_ids(groups, group);
	}
}

static void drop_ids(struct sa_groups *groups, const struct sa_group *group)
{
	struct sa_groups_ids *ids = &groups->ids[group->params];
	bool alike = has_ids(ids, &group->way);

	ids->alike -= alike && ids->alike;
	ids->others -= !alike && ids->others;
	if (!ids->alike && ids->others)
		find_ids(groups, group->params);
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
		.peer = child->peer,
		.way = child->way,
		.number = groups->numbered++,
		.digest = digest,
	};
	groups->unshared += !share;
	note_ids(groups, group);
	DL_APPEND2(groups->first, group, previous, next);
	enter(groups, child, group);
	sa_group_share_enter(share, group);
	insert_spans(groups, group, child);
	sa_group_rivals_enter(groups, group);
}

/* A CHILD_SA with selectors that the peer already has counts as a rekey. */
static bool is_rekey(const struct sa_groups_share *share, const struct child_sa *child,
		     uint64_t digest)
{
	const struct sa_group *group = share ? share->first : NULL;

	while (group && !has_selectors(group, child, digest))
		group = group->alike;
	return group;
}

static bool peer_has_room(const struct sa_groups *groups, const struct sa_groups_share *share,
			  const struct child_sa *child, uint64_t digest)
{
	uint32_t count = groups->of_peer[child->peer];

	return count < SA_GROUPS_PEER_NEW_MAX ||
	       (count < SA_GROUPS_PEER_MAX && is_rekey(share, child, digest));
}

static int join(struct sa_groups *groups, struct child_sa *child, bool forced)
{
	uint64_t digest = digest_of(child);
	struct sa_groups_share *share = sa_group_share_of(groups, child);
	struct sa_group *group = find_group(share, child, digest);

	if (!forced && (!peer_has_room(groups, share, child, digest) ||
			(!group && sa_group_share_is_full(share, child->params)))) {
		sa_group_share_free_unused(groups, share);
		return -EDQUOT;
	}
	if (group)
		enter(groups, child, group);
	else
		start_group(groups, child, digest, share);
	return 0;
}

bool sa_groups_have(struct sa_groups *groups, const struct child_sa *child)
{
	return find_group(sa_group_share_find(groups, child), child, digest_of(child));
}

/*
 * Each CHILD_SA has memory for one group, so a new group always has memory. A member that
 * leaves takes the memory of one group along.
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
	sa_group_rivals_leave(groups, group);
	groups->unshared -= !group->share;
	sa_group_share_leave(groups, group);
	sa_groups_forget_stale(groups, group);
	DL_DELETE2(groups->first, group, previous, next);
	drop_ids(groups, group);
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

/* ---- flows */

/* The way of the SAs with these params; NULL: not known. */
static const struct sa_way *way_of(const struct sa_groups *groups, uint16_t params)
{
	const struct sa_groups_ids *ids = &groups->ids[params];

	return ids->known && !ids->others ? &ids->way : NULL;
}

bool sa_groups_have_other_device(const struct sa_groups *groups, const struct sa_group *group,
				 uint64_t netns, uint16_t params)
{
	const struct sa_way *own = way_of(groups, params);

	return own && choice_tells_apart(groups->choice, netns, own, &group->way);
}

bool sa_groups_conflicts(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params)
{
	return group->params != params && child_sas_covers(group->members, flow) &&
	       !sa_groups_have_other_device(groups, group, flow->netns, params) &&
	       choice_will_carry(groups->choice, &group->way, way_of(groups, params), flow);
}

bool sa_groups_stands_in(const struct sa_groups *groups, const struct sa_group *group,
			 const struct latch_flow *flow, uint16_t params)
{
	return child_sas_covers(group->members, flow) &&
	       !sa_groups_have_other_device(groups, group, flow->netns, params) &&
	       choice_may_carry(groups->choice, &group->way, flow) &&
	       !choice_will_carry(groups->choice, &group->way, way_of(groups, params), flow);
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
