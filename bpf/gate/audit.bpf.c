/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "gate/audit.h"
#include "packet/packet.h"

static __always_inline int is_decided_before(const struct passage *p, const struct latch *latch,
					     int why, __u32 mode)
{
	return p->enforced || (why == LATCH_DROP_BROKEN && latch && latch->decided != mode);
}

__noinline int audit_passes(struct passage *p, struct latch *latch, int why)
{
	__u32 mode = mode_get();

	if (!p || !latch_mode_is_audit(mode) || is_decided_before(p, latch, why, mode))
		return 0;
	if (!p->audited)
		p->audited = (__u8)why + 1;
	if (latch)
		drop_event((enum latch_drop)why, p, latch, 1);
	return 1;
}

/* ---- the first packet of a flow */

static __always_inline __u64 owner_of(const struct passage *p)
{
	return p->listener ? 0 : p->socket_cookie;
}

/* Any host can send a datagram in the peer's name: only what this host sends begins a UDP flow. */
static __always_inline int begins_flow(const struct passage *p)
{
	return p->flow.protocol != IPPROTO_UDP_NUMBER || p->egress;
}

static OWN_FRAME int mark_refused(struct passage *p)
{
	if (latch_refuse(&p->flow, &p->rule, opening_direction(p), owner_of(p), p->listener_id))
		count(LATCH_COUNTER_AUDIT_UNMARKED);
	return 0;
}

static OWN_FRAME int make_larval(struct passage *p)
{
	struct latch_sa *sa = sa_find(&p->sa);
	int foreign = !sa || sa->word.flags & LATCH_SA_FOREIGN;

	latch_acquire(&p->flow, 0, &p->rule, opening_direction(p), owner_of(p), p->listener_id,
		      foreign);
	return 0;
}

__noinline int audit_begin(struct passage *p)
{
	if (!p || latch_find(&p->flow))
		return 0;
	if (p->refused)
		return begins_flow(p) ? mark_refused(p) : 0;
	return p->protection == PACKET_PROTECTED ? make_larval(p) : 0;
}

/* ---- the count */

static __always_inline __u16 params_of_sa(const struct passage *p)
{
	struct latch_sa *sa = p->protection == PACKET_PROTECTED ? sa_find(&p->sa) : NULL;

	return sa ? sa->word.params : 0;
}

static OWN_FRAME void note_latched(const struct passage *p, struct latch *latch,
				   struct audit_note *note)
{
	union latch_word word = READ_WORD(latch->word);

	note->key.rule = latch->rule;
	note->key.rule_set = latch->rule_set;
	note->key.params = word.params;
	if (note->key.drop == LATCH_DROP_BROKEN)
		note->key.reasons = word.reasons;
	note->direction = latch->direction;
	note->flows = audit_first_of(latch, note->key.drop, mode_get());
	note->got = params_of_sa(p);
}

/* The rule was not asked for every reason. */
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
		note_latched(p, latch, &note);
	else
		note_unlatched(p, &note);
	/* Its mark has no params. */
	if (!note.key.params)
		note.key.params = params_of_sa(p);
	return audit_add(&p->flow, &note);
}
