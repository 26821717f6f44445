/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/rival_report.h"

#include <stdio.h>
#include <string.h>

#include "latchd/sa/child/sa_group_pairs.h"

_Static_assert(NEWS_SELECTOR_SIZE == TRAFFIC_SELECTOR_TEXT, "room for a selector");

/* Some traffic of both: of the flow, if one is given. */
struct common_search {
	char *out;
	uint8_t family;
	const uint8_t *address; /* NULL: any */
};

static int write_text(void *context, const struct traffic_selector *common)
{
	const struct common_search *search = context;

	if (search->address && (common->family != search->family ||
				memcmp(common->low, search->address, sizeof(common->low)) > 0 ||
				memcmp(search->address, common->high, sizeof(common->high)) > 0))
		return 0;
	traffic_selector_text(common, search->out);
	return 1;
}

static void write_common(const struct traffic_selector_set *one,
			 const struct traffic_selector_set *other, struct common_search search)
{
	if (!traffic_selector_sets_common(one, other, write_text, &search))
		snprintf(search.out, NEWS_SELECTOR_SIZE, "unreadable selectors");
}

static bool describe(const struct child_sa *child, const struct sa_group *rival,
		     const struct latch_flow *flow, struct news_rival *ret)
{
	const struct child_sa *other = rival ? rival->members : NULL;
	uint8_t family = flow ? flow->family : 0;

	if (!other)
		return false;
	*ret = (struct news_rival){
		.params = child->params,
		.rival_params = other->params,
		.rival_spi = other->in.key.spi,
	};
	write_common(&child->reported.local_ts, &other->reported.local_ts,
		     (struct common_search){ret->local, family, flow ? flow->local_addr : NULL});
	write_common(&child->reported.remote_ts, &other->reported.remote_ts,
		     (struct common_search){ret->remote, family, flow ? flow->remote_addr : NULL});
	return true;
}

bool rivals_find(struct child_sas *child_sas, const struct latch_sa_key *key,
		 struct news_rival *ret)
{
	const struct child_sa_end *end = child_sas_find(child_sas, key);
	const struct sa_group *group = end ? end->child->group : NULL;

	return group && describe(end->child, group->rivals.rival, NULL, ret);
}

bool rivals_find_for(struct child_sas *child_sas, const struct latch_sa_key *key,
		     const struct latch_flow *flow, struct news_rival *ret)
{
	const struct child_sa_end *end = child_sas_find(child_sas, key);
	const struct sa_group *group = end ? end->child->group : NULL;

	return group &&
	       describe(end->child, sa_groups_rival_of_pair(&child_sas->groups, group, flow), flow,
			ret);
}
