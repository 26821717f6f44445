/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides over the first packet of a flow, and creates its latch. Refuses it under a contested SA,
 * and where a rule requires a latch if its SA can only start a LARVAL one or none. Both gates call
 * the global functions, and the verifier checks each only once.
 */
#include "gate/new_flow.h"
#include "gate/peer_terms.h"
#include "gate/verdict.h"

static __always_inline __u64 owner_of(const struct passage *p)
{
	return p->listener ? 0 : p->socket_cookie;
}

/* A later packet makes the latch: the answer to a received INIT or COOKIE ECHO of SCTP. */
static __always_inline int makes_latch(const struct passage *p)
{
	return !is_before_policy(p) || p->may_start;
}

/*
 * The SA can start no latch, and no rule requires one. The flow gets a LARVAL latch, which the
 * first SA that can start a latch makes ESTABLISHED. Without room for the LARVAL latch the packet
 * passes, too. If another CPU was faster the packet is dropped, since that CPU may have latched
 * the flow to another peer.
 */
__noinline int pass_unattributed(struct passage *p, int params, int which, int foreign)
{
	int err;

	if (!p)
		return GATE_DROP;
	if (!makes_latch(p))
		return GATE_PASS;
	count(which);
	err = latch_acquire(&p->flow, params, &p->rule, opening_direction(p), owner_of(p),
			    p->listener_id, foreign);
	return err == -EEXIST ? drop(LATCH_DROP_SA_PENDING, p, NULL) : GATE_PASS;
}

/* If another CPU was faster, its latch decides over the next packet. */
__noinline int new_flow_latch(struct passage *p, int params)
{
	int err;

	if (!p)
		return GATE_DROP;
	if (!makes_latch(p))
		return GATE_PASS;
	err = latch_create(&p->flow, params, &p->rule, opening_direction(p), owner_of(p),
			   p->listener_id, p->queued);
	if (err == -EEXIST)
		return drop(LATCH_DROP_LATCHES_FULL, p, NULL) == GATE_PASS ? GATE_PASS : GATE_LOSE;
	return err ? refuse(p, LATCH_DROP_LATCHES_FULL) : GATE_PASS;
}

static __always_inline enum latch_counter pending_counter(const struct passage *p,
							  union latch_sa_word word)
{
	int foreign = word.flags & LATCH_SA_FOREIGN;

	if (is_served(p->sa.netns, foreign))
		return LATCH_COUNTER_UNLATCHED_PENDING;
	return foreign ? LATCH_COUNTER_UNLATCHED_FOREIGN : LATCH_COUNTER_UNLATCHED_UNSERVED;
}

static __always_inline int pass_auto(struct passage *p)
{
	enum latch_drop contest;
	union latch_sa_word word;
	struct latch_sa *sa;

	if (p->protection == PACKET_MALFORMED)
		return drop(LATCH_DROP_MALFORMED, p, NULL);
	if (p->protection == PACKET_MERGED)
		return drop(LATCH_DROP_MERGED, p, NULL);
	if (p->protection == PACKET_OTHER_MODE)
		count(LATCH_COUNTER_UNLATCHED_OTHER);
	if (p->protection != PACKET_PROTECTED)
		return pass_without_latch(p);
	sa = sa_find(&p->sa);
	if (!sa)
		return pass_unattributed(p, 0, LATCH_COUNTER_UNLATCHED_OTHER, 1);
	word = READ_WORD(sa->word);
	if (word.state == LATCH_SA_PENDING && is_awaited(p, sa, word))
		return drop(LATCH_DROP_SA_PENDING, p, NULL);
	if (word.state == LATCH_SA_PENDING)
		return pass_unattributed(p, 0, pending_counter(p, word),
					 word.flags & LATCH_SA_FOREIGN);
	if (word.state != LATCH_SA_BOUND || word.flags & LATCH_SA_AMBIGUOUS)
		return pass_unattributed(p, word.params, LATCH_COUNTER_UNLATCHED_OTHER,
					 word.flags & LATCH_SA_FOREIGN);
	contest = contest_of(p, word);
	if (contest != REJECT_NONE)
		return refuse(p, contest);
	return new_flow_latch(p, word.params);
}

_Static_assert((int)LATCH_DISPOSE_WAIT - LATCH_DISPOSE_TIMEOUT == LATCH_DISPOSITION_WAIT &&
		       (int)LATCH_DISPOSE_UNREACHABLE - LATCH_DISPOSE_TIMEOUT ==
			       LATCH_DISPOSITION_UNREACHABLE,
	       "the numbers of the last two differ by that of the timeout");

/* The stricter of both: no rule takes back what the application wishes. */
static __always_inline void wish_over_rule(struct passage *p)
{
	enum latch_app_disposition wished = p->wish - 1;

	p->rule.action = LATCH_ACTION_REQUIRE;
	p->rule.flags |= LATCH_RULE_REQUIRE | LATCH_RULE_WISHED;
	if (wished == LATCH_DISPOSE_BY_RULE)
		return;
	p->rule.flags &= ~LATCH_RULE_TIMEOUT;
	if (wished == LATCH_DISPOSE_TIMEOUT)
		p->rule.flags |= LATCH_RULE_TIMEOUT;
	p->rule.disposition = wished > LATCH_DISPOSE_TIMEOUT ? wished - LATCH_DISPOSE_TIMEOUT
							     : LATCH_DISPOSITION_RESET;
}

/* A socket that a listener has accepted has a copy of its wishes, but opened nothing. */
static __always_inline int is_bypassed(const struct passage *p)
{
	return p->bypass &&
	       (p->opened == LATCH_DIRECTION_OUT || p->flow.protocol == IPPROTO_UDP_NUMBER);
}

/* A LARVAL latch of the flow is not bound to the terms either. */
static __always_inline void bypass_rule(struct rule_decision *rule)
{
	rule->action = LATCH_ACTION_OFF;
	rule->peer_set = 0;
	rule->min_encryption = 0;
}

__noinline int find_rule(struct passage *p)
{
	if (!p)
		return 0;
	rule_of(&p->flow, p->opened, &p->rule);
	if (p->wish)
		wish_over_rule(p);
	else if (is_bypassed(p) && !p->rule.undecided)
		bypass_rule(&p->rule);
	return 0;
}

/*
 * The SA may have got another peer since its check against the wishes: only the params that were
 * admitted then count. The terms of the rule come on top.
 */
static __always_inline enum latch_drop reject_reason_of_terms(struct passage *p, __u16 *ret_params)
{
	enum latch_drop why = reject_reason(p, ret_params);

	if (why == REJECT_NONE && p->wish && *ret_params != p->admitted)
		return unwished_reason(p, LATCH_DROP_REQUIRED);
	/* latchd need not decide over a peer that the application does not wish. */
	if (is_contest(why) && p->wish && *ret_params != p->admitted)
		return unwished_reason(p, why);
	if (why == REJECT_NONE && has_terms(p))
		return (enum latch_drop)rule_refuses(p, *ret_params);
	return why;
}

static __always_inline int pass_required(struct passage *p)
{
	__u16 params = 0;
	enum latch_drop why = reject_reason_of_terms(p, &params);

	if (why == REJECT_NONE && !p->rule.undecided)
		return new_flow_latch(p, params);
	return reject(p, why == REJECT_NONE ? LATCH_DROP_REQUIRED : why);
}

__noinline int new_flow_check(struct passage *p)
{
	if (!p)
		return GATE_DROP;
	find_rule(p);
	switch (p->rule.action) {
	case LATCH_ACTION_OFF:
		return pass_without_latch(p);
	case LATCH_ACTION_REQUIRE:
		return pass_required(p);
	case LATCH_ACTION_AUTO:
		break;
	}
	return pass_auto(p);
}

/*
 * A LARVAL latch does not satisfy a rule that requires a latch. It may be older than the rule,
 * or come from a SYN of the other direction. Under such a rule only a packet that makes the
 * latch ESTABLISHED passes.
 */
__noinline int new_flow_check_larval(struct passage *p)
{
	enum latch_drop why;
	__u16 params = 0;

	if (!p)
		return GATE_DROP;
	find_rule(p);
	if (p->rule.action != LATCH_ACTION_REQUIRE)
		return GATE_PASS;
	why = proves_peer(p) ? reject_reason_of_terms(p, &params) : LATCH_DROP_REQUIRED;
	return why == REJECT_NONE ? GATE_PASS : reject(p, why);
}
