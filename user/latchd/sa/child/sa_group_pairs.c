/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_group_pairs.h"

#include <string.h>
#include <sys/socket.h>

#include "latchd/sa/child/child_sa.h"
#include "latchd/sa/child/sa_group_share.h"
#include "latchd/sa/child/sa_groups.h"

struct pair_search {
	struct sa_groups *groups;
	uint16_t params;
	const struct latch_flow *flow;
	struct traffic_selector_set local, remote; /* any flow between the addresses */
	const struct sa_group *own[SA_GROUP_PAIRS_OWN];
	size_t own_count;
	const struct sa_group *rival;  /* the first that was found */
	const struct sa_way *not_used; /* the kernel uses no SA of this way for such a flow */
	uint64_t work_end;
};

static bool is_over(const struct pair_search *search)
{
	return search->groups->work > search->work_end;
}

/* The ranges of addresses are wider than the selectors. */
static int visit_groups(struct pair_search *search, sa_span_visit_fn visit)
{
	const struct sa_place place = sa_place_of(search->flow->netns, search->flow->remote_addr);
	size_t family = search->flow->family == AF_INET6;

	return sa_spans_search(&search->groups->spans[family], &place, &place, visit, search);
}

static bool covers_all(const struct sa_group *group)
{
	const struct feed_child *reported = &group->members->reported;

	return reported->local_ts.covers_all || reported->remote_ts.covers_all;
}

/* Some flow between the addresses: RFC 5660, section 2.3. */
static bool covers_some(const struct pair_search *search, const struct sa_group *group)
{
	const struct feed_child *reported = &group->members->reported;
	uint64_t *looks = &search->groups->work;

	return traffic_selector_sets_overlap(&reported->remote_ts, &search->remote, looks) &&
	       traffic_selector_sets_overlap(&reported->local_ts, &search->local, looks);
}

/* ---- equal selectors of two gateways: the SPD has the policy of one */

struct equal_search {
	const struct pair_search *pair;
	const struct traffic_selector_set *other;
};

static int is_equal(void *context, const struct traffic_selector *selector)
{
	const struct equal_search *search = context;

	search->pair->groups->work++;
	return is_over(search->pair) || traffic_selector_set_has(search->other, selector);
}

/* at: the set with the address alone. Either set may have many selectors elsewhere. */
static bool have_equal(const struct pair_search *pair, const struct traffic_selector_set *one,
		       const struct traffic_selector_set *other,
		       const struct traffic_selector_set *at)
{
	struct equal_search search = {pair, other};

	return traffic_selector_set_visit(one, &at->selector[0], &pair->groups->work, is_equal,
					  &search);
}

static bool are_alike(const struct pair_search *search, const struct sa_group *one,
		      const struct sa_group *other)
{
	const struct feed_child *a = &one->members->reported, *b = &other->members->reported;

	return have_equal(search, &a->remote_ts, &b->remote_ts, &search->remote) &&
	       have_equal(search, &a->local_ts, &b->local_ts, &search->local);
}

static bool is_like_own(const struct pair_search *search, const struct sa_group *rival)
{
	size_t i;

	for (i = 0; i < search->own_count; i++)
		if (are_alike(search, search->own[i], rival))
			return true;
	return false;
}

/* Those with the params of the flow's SA. */
static int note_own(void *context, struct sa_group *group)
{
	struct pair_search *search = context;

	search->groups->work++;
	if (group->params != search->params || !covers_some(search, group))
		return is_over(search);
	if (search->own_count == SA_GROUP_PAIRS_OWN || covers_all(group))
		return 1;
	search->own[search->own_count++] = group;
	return is_over(search);
}

/* ---- all groups with the remote address */

/* A peer may have many groups, and most are of one way. */
static bool is_known_unused(const struct pair_search *search, const struct sa_group *group)
{
	return search->not_used && !memcmp(search->not_used, &group->way, sizeof(group->way));
}

static bool may_be_used(struct pair_search *search, const struct sa_group *group)
{
	if (choice_may_carry_pair(search->groups->choice, &group->way, search->flow,
				  &search->groups->work))
		return true;
	search->not_used = &group->way;
	return false;
}

static bool is_rival(struct pair_search *search, const struct sa_group *other)
{
	bool unused = is_known_unused(search, other);

	if (other->params == search->params)
		return false;
	if (covers_all(other))
		return true;
	if ((!unused && !covers_some(search, other)) ||
	    sa_groups_have_other_device(search->groups, other, search->flow->netns, search->params))
		return false;
	return (!unused && may_be_used(search, other)) || is_like_own(search, other);
}

static int find_rival(void *context, struct sa_group *other)
{
	struct pair_search *search = context;

	search->groups->work++;
	if (is_over(search))
		return 1;
	if (!is_rival(search, other))
		return 0;
	search->rival = is_over(search) ? NULL : other;
	return 1;
}

static struct traffic_selector_set any_at(uint8_t family, const uint8_t address[16])
{
	struct traffic_selector_set set = {.count = 1};
	struct traffic_selector *any = &set.selector[0];

	*any = (struct traffic_selector){.family = family, .port_high = UINT16_MAX};
	memcpy(any->low, address, sizeof(any->low));
	memcpy(any->high, address, sizeof(any->high));
	return set;
}

static struct pair_search search_of(struct sa_groups *groups, uint16_t params,
				    const struct latch_flow *flow, uint64_t work)
{
	return (struct pair_search){
		.groups = groups,
		.params = params,
		.flow = flow,
		.local = any_at(flow->family, flow->local_addr),
		.remote = any_at(flow->family, flow->remote_addr),
		.work_end = groups->work + work,
	};
}

static bool is_contested(struct pair_search *search)
{
	/* NAT may have changed the addresses before XFRM: no selectors show the SAs of such a flow.
	 */
	return visit_groups(search, note_own) || !search->own_count ||
	       visit_groups(search, find_rival) || is_over(search);
}

bool sa_groups_contest_pair(struct sa_groups *groups, const struct sa_group *group,
			    const struct latch_flow *flow)
{
	struct pair_search search = search_of(groups, group->params, flow, SA_GROUP_PAIRS_WORK);

	return covers_all(group) || is_contested(&search);
}

const struct sa_group *sa_groups_rival_of_pair(struct sa_groups *groups,
					       const struct sa_group *group,
					       const struct latch_flow *flow)
{
	struct pair_search search = search_of(groups, group->params, flow, SA_GROUP_PAIRS_REPORT);

	return is_contested(&search) ? search.rival : NULL;
}

/* ---- an answer again */

static bool has_place(struct pair_search *search, const struct sa_group *group)
{
	const struct sa_place place = sa_place_of(search->flow->netns, search->flow->remote_addr);
	const struct sa_span *span = &group->span[search->flow->family == AF_INET6];

	search->groups->work++;
	return span->group && memcmp(&span->first, &place, sizeof(place)) <= 0 &&
	       memcmp(&place, &span->last, sizeof(place)) <= 0;
}

static int note_own_of(struct pair_search *search, const struct sa_groups_share *share)
{
	struct sa_group *group;
	int result = 0;

	for (group = share ? share->first : NULL; group && !result; group = group->alike)
		result = has_place(search, group) ? note_own(search, group) : is_over(search);
	return result;
}

/* By their peer: other peers' groups with the address may be many. */
static bool notes_own(struct pair_search *search, uint16_t peer)
{
	static const uint8_t none[16];
	const struct latch_flow *flow = search->flow;
	const struct sa_groups *groups = search->groups;

	return !note_own_of(search, sa_group_share_find_at(groups, peer, 0, 0, none)) &&
	       !note_own_of(search, sa_group_share_find_at(groups, peer, flow->netns, flow->family,
							   flow->remote_addr)) &&
	       search->own_count;
}

/* The groups are in the order of their numbers. */
static bool has_begun_rival(struct pair_search *search, uint64_t numbered)
{
	struct sa_group *first = search->groups->first, *group = first ? first->previous : NULL;
	int result = 0;

	while (!result && group && group->number >= numbered) {
		result = has_place(search, group) ? find_rival(search, group) : is_over(search);
		group = group == first ? NULL : group->previous;
	}
	return result;
}

static bool is_contested_now(struct pair_search *search, const struct sa_groups_alone *alone)
{
	unsigned int scope = alone->scope;

	if (scope & SA_GROUPS_SCOPE_ALL || search->groups->unshared)
		return is_contested(search);
	if (!notes_own(search, alone->peer) ||
	    (scope & SA_GROUPS_SCOPE_BEGUN && has_begun_rival(search, alone->numbered)))
		return true;
	/* Selectors and devices are those of before. */
	search->own_count = 0;
	return (scope & SA_GROUPS_SCOPE_POLICY && visit_groups(search, find_rival)) ||
	       is_over(search);
}

bool sa_groups_leave_alone(struct sa_groups *groups, const struct sa_groups_alone *alone,
			   uint64_t work)
{
	const struct latch_pair *pair = alone->pair;
	struct latch_flow flow = {.netns = pair->netns, .family = pair->family};
	struct pair_search search;

	memcpy(flow.local_addr, pair->local_addr, sizeof(flow.local_addr));
	memcpy(flow.remote_addr, pair->remote_addr, sizeof(flow.remote_addr));
	search = search_of(groups, pair->params, &flow, work);
	return choice_may_answer(groups->choice, pair->netns) && !is_contested_now(&search, alone);
}
