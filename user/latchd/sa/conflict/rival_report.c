/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/rival_report.h"

#include <stdio.h>

#include "latchd/sa/child/sa_group_rivals.h"

_Static_assert(NEWS_SELECTOR_SIZE == TRAFFIC_SELECTOR_TEXT, "room for a selector");

static int write_text(void *context, const struct traffic_selector *common)
{
	traffic_selector_text(common, context);
	return 1;
}

static void write_common(char out[NEWS_SELECTOR_SIZE], const struct traffic_selector_set *one,
			 const struct traffic_selector_set *other)
{
	if (!traffic_selector_sets_common(one, other, write_text, out))
		snprintf(out, NEWS_SELECTOR_SIZE, "unreadable selectors");
}

bool rivals_find(struct child_sas *child_sas, const struct latch_sa_key *key,
		 struct news_rival *ret)
{
	const struct child_sa_end *end = child_sas_find(child_sas, key);
	const struct child_sa *child = end ? end->child : NULL, *other;
	const struct sa_group *rival = child && child->group ? child->group->rivals.rival : NULL;

	if (!rival)
		return false;
	other = rival->members;
	*ret = (struct news_rival){
		.params = child->params,
		.rival_params = other->params,
		.rival_spi = other->in.key.spi,
	};
	write_common(ret->local, &child->reported.local_ts, &other->reported.local_ts);
	write_common(ret->remote, &child->reported.remote_ts, &other->reported.remote_ts);
	return true;
}
