/* SPDX-License-Identifier: BSD-2-Clause */
/* The decision of bpf/gate/new_flow.bpf.c on the first packet of the flow. */
#include "latchd/explain/explain_decide.h"

#include <linux/xfrm.h>

#include "latchd/maps/tables.h"

static const struct explain_policy *policy_of(const struct explanation *e, bool out)
{
	return &e->policy[out ? POLICY_OUT : POLICY_IN];
}

bool explain_fits_policy(const struct explanation *e, const struct latch_sa *sa, bool out)
{
	const struct explain_policy *policy = policy_of(e, out);

	return e->spd_error || policy->action != POLICY_PROTECT || policy->absent ||
	       policy->policy.if_id == sa->if_id;
}

bool explain_may_carry_unreported(const struct explanation *e, const struct latch_sa_key *key,
				  const struct latch_sa *sa)
{
	bool out = e->direction != LATCH_DIRECTION_IN;
	const struct policy *policy = &policy_of(e, out)->policy;
	unsigned int i;

	if (e->spd_error || key->netns != e->flow.netns || sa->word.params ||
	    sa->word.flags & LATCH_SA_GONE || sa->mode == XFRM_MODE_TRANSPORT ||
	    !explain_fits_policy(e, sa, out))
		return false;
	for (i = 0; i < policy->template_count; i++)
		if (policy->templates[i].mode == sa->mode)
			return true;
	return false;
}

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

/* The kernel decides between them by the route, which is not read here. */
static bool has_other_owner(const struct explanation *e, bool out)
{
	const union latch_sa_word *word;
	size_t i;

	for (i = 0; i < e->sa_count && i < EXPLAIN_SAS_MAX; i++) {
		word = &e->sas[i].sa.word;
		if (e->sas[i].out == out && word->state == LATCH_SA_BOUND && word->params &&
		    word->params != e->now_sa->sa.word.params)
			return true;
	}
	return false;
}

/* No rule takes back what the application wishes. */
static bool requires_latch(const struct explanation *e)
{
	return e->wish || e->action == LATCH_ACTION_REQUIRE;
}

static enum explain_now without_owner(const struct explanation *e)
{
	return requires_latch(e) ? EXPLAIN_NOW_UNATTRIBUTED : EXPLAIN_NOW_LARVAL;
}

static bool is_awaited(const struct latch_sa *sa, uint64_t now_ns, uint64_t pending_limit_ns)
{
	return !sa_is_unproven(sa->word) && now_ns - sa->installed <= pending_limit_ns;
}

static enum explain_now by_sa(const struct explanation *e, const struct latch_sa *sa,
			      uint64_t now_ns, uint64_t pending_limit_ns)
{
	switch (sa->word.state) {
	case LATCH_SA_PENDING:
		return is_awaited(sa, now_ns, pending_limit_ns) ? EXPLAIN_NOW_SA_PENDING
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
	enum explain_now now;

	if (e->action == LATCH_ACTION_OFF && !e->wish)
		return EXPLAIN_NOW_OFF;
	if (e->spd_error)
		return EXPLAIN_NOW_UNKNOWN;
	switch (policy_of(e, out)->action) {
	case POLICY_BLOCK:
		return EXPLAIN_NOW_BLOCKED;
	case POLICY_BYPASS:
		return requires_latch(e) ? EXPLAIN_NOW_REQUIRED : EXPLAIN_NOW_CLEAR;
	case POLICY_PROTECT:
		break;
	}
	e->now_sa = newest(e, out);
	if (!e->now_sa)
		return e->unreported ? EXPLAIN_NOW_UNREPORTED : EXPLAIN_NOW_NEGOTIATES;
	now = by_sa(e, &e->now_sa->sa, now_ns, pending_limit_ns);
	if (now == EXPLAIN_NOW_LATCHED && e->now_sa->refused)
		now = EXPLAIN_NOW_TERMS;
	if (now == EXPLAIN_NOW_LATCHED && e->now_sa->unwished && !has_other_owner(e, out))
		now = EXPLAIN_NOW_WISH;
	return now == EXPLAIN_NOW_LATCHED && has_other_owner(e, out) ? EXPLAIN_NOW_BY_ROUTE : now;
}

void explain_decide(struct explanation *e, uint64_t now_ns, uint64_t pending_limit_ns)
{
	e->now_sa = NULL;
	e->now = decide(e, now_ns, pending_limit_ns);
}
