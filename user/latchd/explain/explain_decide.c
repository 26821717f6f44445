/* SPDX-License-Identifier: BSD-2-Clause */
/* What bpf/gate/new_flow.bpf.c would do with the first packet of the flow. */
#include "latchd/explain/explain_decide.h"

static const struct explain_sa *newest(const struct explanation *e, bool out)
{
	const struct explain_sa *found = NULL;
	size_t i;

	for (i = 0; i < e->sa_count && i < EXPLAIN_SAS_MAX; i++)
		if (e->sas[i].out == out &&
		    (!found || e->sas[i].sa.installed > found->sa.installed))
			found = &e->sas[i];
	return found;
}

static enum explain_now without_owner(const struct explanation *e)
{
	return e->action == LATCH_ACTION_REQUIRE ? EXPLAIN_NOW_UNOWNED : EXPLAIN_NOW_LARVAL;
}

static enum explain_now by_sa(const struct explanation *e, const struct latch_sa *sa,
			      uint64_t now_ns, uint64_t pending_limit_ns)
{
	switch (sa->word.state) {
	case LATCH_SA_PENDING:
		return now_ns - sa->installed <= pending_limit_ns ? EXPLAIN_NOW_WAITS
								  : without_owner(e);
	case LATCH_SA_BOUND:
		if (sa->word.flags & LATCH_SA_AMBIGUOUS)
			return without_owner(e);
		return sa->word.flags & LATCH_SA_CONTESTED ? EXPLAIN_NOW_CONTESTED
							   : EXPLAIN_NOW_LATCHED;
	case LATCH_SA_NONE:
	case LATCH_SA_ORPHAN:
	case LATCH_SA_DYING:
		break;
	}
	return without_owner(e);
}

static enum explain_now decide(struct explanation *e, uint64_t now_ns, uint64_t pending_limit_ns)
{
	bool out = e->direction != LATCH_DIRECTION_IN;

	if (e->action == LATCH_ACTION_OFF)
		return EXPLAIN_NOW_OFF;
	if (e->spd_error)
		return EXPLAIN_NOW_UNKNOWN;
	switch (e->policy[out ? POLICY_OUT : POLICY_IN].action) {
	case POLICY_BLOCK:
		return EXPLAIN_NOW_BLOCKED;
	case POLICY_BYPASS:
		return e->action == LATCH_ACTION_REQUIRE ? EXPLAIN_NOW_REQUIRED : EXPLAIN_NOW_CLEAR;
	case POLICY_PROTECT:
		break;
	}
	e->now_sa = newest(e, out);
	return e->now_sa ? by_sa(e, &e->now_sa->sa, now_ns, pending_limit_ns)
			 : EXPLAIN_NOW_NEGOTIATES;
}

void explain_decide(struct explanation *e, uint64_t now_ns, uint64_t pending_limit_ns)
{
	e->now_sa = NULL;
	e->now = decide(e, now_ns, pending_limit_ns);
}
