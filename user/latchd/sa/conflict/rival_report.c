/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/rival_report.h"

#include <stdio.h>
#include <string.h>

#include "latchd/sa/child/sa_group_pairs.h"

_Static_assert(NEWS_SELECTOR_SIZE == TRAFFIC_SELECTOR_TEXT, "room for a selector");

/* Some traffic of both: of the flow, if one is given. Peers choose the number of selectors. */
struct common_search {
	const struct traffic_selector_set *other;
	const struct traffic_selector *at; /* NULL: any flow */
	const struct traffic_selector *one;
	uint64_t *looks, looks_end;
	char *out;
};

static int write_text(void *context, const struct traffic_selector *other)
{
	const struct common_search *search = context;
	struct traffic_selector common;

	if (!traffic_selector_common(search->one, other, &common))
		return 0;
	traffic_selector_text(&common, search->out);
	return 1;
}

/* one: of the first set. -1: too much work. */
static int search_other(void *context, const struct traffic_selector *one)
{
	struct common_search *search = context;
	struct traffic_selector wanted = *one;

	if (*search->looks > search->looks_end)
		return -1;
	if (search->at)
		traffic_selector_common(one, search->at, &wanted);
	search->one = one;
	return traffic_selector_set_visit(search->other, &wanted, search->looks, write_text,
					  search);
}

static int search_all(const struct traffic_selector_set *one, struct common_search *search)
{
	size_t i;
	int result = 0;

	if (search->at)
		return traffic_selector_set_visit(one, search->at, search->looks, search_other,
						  search);
	for (i = 0; !result && i < one->count; i++)
		result = search_other(search, traffic_selector_set_at(one, i));
	return result;
}

static void write_common(struct sa_groups *groups, const struct traffic_selector_set *one,
			 const struct traffic_selector_set *other,
			 const struct traffic_selector *at, char *out)
{
	struct common_search search = {
		.other = other,
		.at = at,
		.looks = &groups->work,
		.looks_end = groups->work + SA_GROUP_PAIRS_REPORT,
		.out = out,
	};

	if (search_all(one, &search) <= 0)
		snprintf(out, NEWS_SELECTOR_SIZE, "%s",
			 one->covers_all || other->covers_all ? "unreadable selectors"
							      : "other protocols or ports");
}

static struct traffic_selector any_at(uint8_t family, const uint8_t address[16])
{
	struct traffic_selector any = {.family = family, .port_high = UINT16_MAX};

	memcpy(any.low, address, sizeof(any.low));
	memcpy(any.high, address, sizeof(any.high));
	return any;
}

static bool describe(struct sa_groups *groups, const struct child_sa *child,
		     const struct sa_group *rival, const struct latch_flow *flow,
		     struct news_rival *ret)
{
	const struct child_sa *other = rival ? rival->members : NULL;
	struct traffic_selector local, remote;

	if (!other)
		return false;
	*ret = (struct news_rival){
		.params = child->params,
		.rival_params = other->params,
		.rival_spi = other->in.key.spi,
	};
	if (flow) {
		local = any_at(flow->family, flow->local_addr);
		remote = any_at(flow->family, flow->remote_addr);
	}
	write_common(groups, &child->reported.local_ts, &other->reported.local_ts,
		     flow ? &local : NULL, ret->local);
	write_common(groups, &child->reported.remote_ts, &other->reported.remote_ts,
		     flow ? &remote : NULL, ret->remote);
	return true;
}

bool rivals_find(struct child_sas *child_sas, const struct latch_sa_key *key,
		 struct news_rival *ret)
{
	const struct child_sa_end *end = child_sas_find(child_sas, key);
	const struct sa_group *group = end ? end->child->group : NULL;

	return group && describe(&child_sas->groups, end->child, group->rivals.rival, NULL, ret);
}

bool rivals_find_for(struct child_sas *child_sas, const struct latch_sa_key *key,
		     const struct latch_flow *flow, struct news_rival *ret)
{
	const struct child_sa_end *end = child_sas_find(child_sas, key);
	const struct sa_group *group = end ? end->child->group : NULL;
	struct sa_groups *groups = &child_sas->groups;

	return group && describe(groups, end->child, sa_groups_rival_of_pair(groups, group, flow),
				 flow, ret);
}
