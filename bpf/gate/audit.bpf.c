/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What audit mode notes after a verdict: the latch or the mark of a flow that begins, and the row
 * of the audit. A LARVAL connection that enforcement would refuse gets a mark, too.
 */
#include "gate/audit.h"
#include "gate/new_flow.h"
#include "gate/peer_terms.h"
#include "gate/verdict.h"
#include "packet/packet.h"

static __always_inline __u16 params_of_sa(const struct passage *p)
{
	struct latch_sa *sa = p->protection == PACKET_PROTECTED ? sa_find(&p->sa) : NULL;

	return sa ? sa->word.params : 0;
}

/* ---- the first packet of a flow */

static __always_inline __u64 owner_of(const struct passage *p)
{
	return p->listener ? 0 : p->socket_cookie;
}

/*
 * Any host can send a datagram in the peer's name, or a SYN that crosses a connect(). So only a
 * sent packet begins such a flow.
 */
static __always_inline int begins_flow(const struct passage *p)
{
	return p->egress ||
	       (p->flow.protocol != IPPROTO_UDP_NUMBER && p->tcp_state != BPF_TCP_SYN_SENT);
}

static OWN_FRAME int mark_refused(struct passage *p, int foreign)
{
	struct latch_clock *clock = clock_get();
	struct marked_flow mark = {
		.netns = p->flow.netns,
		.params = params_of_sa(p),
		.opened_here = opening_direction(p) == LATCH_DIRECTION_OUT,
		.foreign = !!foreign,
		.why = p->audited - 1,
	};

	if (!latch_refuse(&p->flow, &p->rule, opening_direction(p), owner_of(p), p->listener_id,
			  &mark))
		return 0;
	/* If a rule requires a latch, enforcement refuses each packet without one: the flow
	 * needs no mark. */
	if (p->rule.action == LATCH_ACTION_REQUIRE)
		return 0;
	count(LATCH_COUNTER_AUDIT_UNMARKED);
	if (clock)
		__sync_fetch_and_add(&clock->audit_unmarked, 1);
	return 0;
}

/* Under a contested SA the peer is known: no other one may settle the latch. */
static OWN_FRAME int make_larval(struct passage *p)
{
	int asks = p->audited == LATCH_DROP_CONTESTED + 1, under = asks ? p->contested : 0;
	struct latch_sa *sa = sa_find(&p->sa);
	int foreign = !sa || sa->word.flags & LATCH_SA_FOREIGN;

	if (asks && !begins_flow(p))
		return 0;

	latch_acquire(&p->flow, under, &p->rule, opening_direction(p), owner_of(p), p->listener_id,
		      foreign);
	return 0;
}

__noinline int audit_begin(struct passage *p, int foreign)
{
	if (!p || is_before_policy(p) || latch_find(&p->flow))
		return 0;
	if (p->refused)
		return begins_flow(p) ? mark_refused(p, foreign) : 0;
	if (p->protection == PACKET_PROTECTED || p->protection == PACKET_MERGED)
		return make_larval(p);
	return 0;
}

/* ---- a flow with a mark begins again */

/* The decision of new_flow_check(), without its changes. A flow that would ask is not refused: it
 * begins again, and asks. */
static OWN_FRAME int stays_refused(struct passage *p)
{
	enum latch_drop why;
	__u16 params;

	find_rule(p);
	why = reject_reason(p, &params);
	if (why == REJECT_NONE && has_terms(p))
		why = (enum latch_drop)rule_refuses(p, params);
	switch (p->rule.action) {
	case LATCH_ACTION_OFF:
		return 0;
	case LATCH_ACTION_REQUIRE:
		return p->rule.undecided || (why != REJECT_NONE && why != LATCH_DROP_SA_PENDING &&
					     why != LATCH_DROP_CONTESTED);
	case LATCH_ACTION_AUTO:
		break;
	}
	return why == LATCH_DROP_CONFLICT;
}

__noinline int audit_check_anew(struct passage *p)
{
	struct latch_flow flow;
	struct latch *latch;
	__u64 id = 0;

	if (!p || stays_refused(p))
		return 0;
	flow = p->flow;
	latch = latch_read(&flow, &id);
	if (latch && !is_mark(latch))
		return 0;
	if (latch && !is_before_policy(p))
		latch_release(&flow, latch, id);
	return 1;
}

/*
 * Under a rule that requires a latch, enforcement drops each packet of a LARVAL flow, so no
 * handshake completes. In audit mode it can complete, under an SA that proves no peer. Enforcement
 * would refuse the flow, so it gets a mark. Received packets do not prove that the handshake has
 * completed.
 */
__noinline int audit_mark_larval(struct passage *p)
{
	struct latch_flow flow;
	union latch_word after;
	struct latch *latch;
	struct latch_sa *sa;
	__u64 id = 0;

	if (!p || !p->egress || p->protection != PACKET_PROTECTED ||
	    p->flow.protocol != IPPROTO_TCP_NUMBER || p->tcp_state == BPF_TCP_SYN_SENT)
		return 0;
	/* The SA is unknown or ambiguous: a later packet decides. */
	sa = sa_find(&p->sa);
	if (!sa || READ_WORD(sa->word).flags & LATCH_SA_AMBIGUOUS)
		return 0;
	flow = p->flow;
	latch = latch_read(&flow, &id);
	if (!latch || !is_larval(latch) || !latch_mode_passes(mode_get(), latch->decided))
		return 0;
	latch->refusal = p->audited - 1;
	latch->refused_params = params_of_sa(p);
	if (latch_step(&flow, latch, id, LATCH_TRIGGER_CREATE, LATCH_REASON_REFUSED, &after) ==
	    LATCH_CONTROL_DONE)
		uncount_foreign_larval(latch);
	return 0;
}

/* ---- the count */

/* All packets of a refused flow count in one row, under any later SA or in clear. */
static __always_inline void note_mark(const struct latch *latch, struct audit_note *note)
{
	note->key.drop = latch->refusal;
	note->key.params = latch->refused_params;
}

static OWN_FRAME void note_by_latch(const struct passage *p, struct latch *latch,
				    struct audit_note *note)
{
	union latch_word word = READ_WORD(latch->word);

	note->key.rule = latch->rule;
	note->key.rule_set = latch->rule_set;
	note->key.params = word.params;
	if (is_mark(latch))
		note_mark(latch, note);
	else if (note->key.drop == LATCH_DROP_BROKEN)
		note->key.reasons = word.reasons;
	note->direction = latch->direction;
	note->flows = audit_first_of(latch, note->key.drop, mode_get());
	note->got = params_of_sa(p);
}

/* Some drop reasons come before the search for a rule, so the rule is searched here. */
static OWN_FRAME void note_unlatched(const struct passage *p, struct audit_note *note)
{
	struct rule_decision rule;

	rule_of(&p->flow, p->opened, &rule);
	note->key.rule = rule.index;
	note->key.rule_set = (__u8)rule.stamp;
	note->key.params = params_of_sa(p);
	note->direction = p->opened;
	note->flows = p->uncounted;
}

__noinline int audit_count(struct passage *p)
{
	struct audit_note note = {.packets = 1};
	struct latch *latch;

	if (!p || !p->audited)
		return 0;
	count(LATCH_COUNTER_AUDITED);
	note.key.drop = p->audited - 1;
	latch = latch_find(&p->flow);
	if (latch)
		note_by_latch(p, latch, &note);
	else
		note_unlatched(p, &note);
	return audit_add(&p->flow, &note);
}
