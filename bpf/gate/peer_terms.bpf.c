/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "gate/peer_terms.h"
#include "db/past.h"
#include "db/peer_sets.h"
#include "latch_strength.h"

static __always_inline int is_strong_enough(const struct passage *p,
					    const struct latch_params *params)
{
	__u32 least = p->rule.min_encryption * 8;

	return !least || latch_strength(&params->qop) >= least;
}

static __always_inline int is_of_set(const struct passage *p, __u32 peer)
{
	struct latch_peer_facts *facts = p->rule.peer_set ? peer_facts_find(peer) : NULL;
	__u32 set = p->rule.peer_set - 1;

	if (!p->rule.peer_set)
		return 1;
	return facts && set < LATCH_PEER_SETS_MAX && sets_of(facts, p->rule.stamp) >> set & 1;
}

/* The half of the rule's stamp is written again only after a change of the stamp in force. */
static __always_inline int is_in_force(const struct passage *p)
{
	struct latch_settings *s = settings_get();

	return s && READ_ONCE(s->rule_stamp) == p->rule.stamp;
}

/*
 * An index of params is reused, but not while the SA has it: the word shows that it had it during
 * the comparison. After a change of the rules the next packet decides.
 */
__noinline int rule_refuses(struct passage *p, int carried)
{
	struct latch_params *params = params_find(carried);
	enum latch_drop why = LATCH_DROP_COUNT;
	struct latch_sa *sa;

	if (!p || !params)
		return LATCH_DROP_REQUIRED;
	if (!is_of_set(p, params->peer_id))
		why = LATCH_DROP_IDENTITY;
	else if (!is_strong_enough(p, params))
		why = LATCH_DROP_QOP;
	full_barrier();
	sa = sa_find(&p->sa);
	if (!sa || READ_WORD(sa->word).params != (__u16)carried)
		return LATCH_DROP_REQUIRED;
	if (!is_in_force(p))
		return LATCH_DROP_SA_PENDING;
	if (why == LATCH_DROP_COUNT && !p->wish)
		p->admitted = carried;
	return why;
}
