/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_group_pairs.h"

#include <string.h>
#include <sys/socket.h>

#include "latchd/sa/child/child_sa.h"
#include "latchd/sa/child/sa_groups.h"

struct pair_search {
	struct sa_groups *groups;
	const struct sa_group *group;
	const struct sa_group
		*rival; /* with other params: it is compared with those of the group's */
	const struct latch_flow *flow;
	uint64_t work_end;
};

static int visit_groups(struct pair_search *search, sa_span_visit_fn visit)
{
	const struct sa_place place = sa_place_of(search->flow->netns, search->flow->remote_addr);
	size_t family = search->flow->family == AF_INET6;

	return sa_spans_search(&search->groups->spans[family], &place, &place, visit, search);
}

/* ---- equal selectors of two gateways: the SPD has the policy of one */

struct equal_search {
	const struct traffic_selector_set *one, *other;
	uint8_t family;
	const uint8_t *address;
};

static int is_equal(void *context, const struct traffic_selector *common)
{
	const struct equal_search *search = context;

	return common->family == search->family &&
	       memcmp(common->low, search->address, sizeof(common->low)) <= 0 &&
	       memcmp(search->address, common->high, sizeof(common->high)) <= 0 &&
	       traffic_selector_set_has(search->one, common) &&
	       traffic_selector_set_has(search->other, common);
}

static bool have_equal(const struct traffic_selector_set *one,
		       const struct traffic_selector_set *other, uint8_t family,
		       const uint8_t address[16])
{
	struct equal_search search = {one, other, family, address};

	return traffic_selector_sets_common(one, other, is_equal, &search);
}

static bool are_alike(const struct sa_group *one, const struct sa_group *other,
		      const struct latch_flow *flow)
{
	const struct feed_child *a = &one->members->reported, *b = &other->members->reported;

	return have_equal(&a->remote_ts, &b->remote_ts, flow->family, flow->remote_addr) &&
	       have_equal(&a->local_ts, &b->local_ts, flow->family, flow->local_addr);
}

static int is_like_rival(void *context, struct sa_group *own)
{
	struct pair_search *search = context;

	search->groups->work++;
	return search->groups->work > search->work_end ||
	       (own->params == search->group->params &&
		are_alike(own, search->rival, search->flow));
}

/* ---- all groups with the remote address */

static bool covers_all(const struct sa_group *group)
{
	const struct feed_child *reported = &group->members->reported;

	return reported->local_ts.covers_all || reported->remote_ts.covers_all;
}

static int is_rival(void *context, struct sa_group *other)
{
	struct pair_search *search = context;
	const struct sa_groups *groups = search->groups;

	search->groups->work++;
	if (search->groups->work > search->work_end)
		return 1;
	if (other->params == search->group->params)
		return 0;
	if (covers_all(other))
		return 1;
	if (sa_groups_have_other_device(groups, other, search->flow->netns, search->group->params))
		return 0;
	search->rival = other;
	return choice_may_carry_pair(groups->choice, &other->way, search->flow) ||
	       visit_groups(search, is_like_rival);
}

bool sa_groups_contest_pair(struct sa_groups *groups, const struct sa_group *group,
			    const struct latch_flow *flow)
{
	struct pair_search search = {
		.groups = groups,
		.group = group,
		.flow = flow,
		.work_end = groups->work + SA_GROUP_PAIRS_WORK,
	};

	return covers_all(group) || visit_groups(&search, is_rival);
}
