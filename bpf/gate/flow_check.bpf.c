/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checks a packet after its flow and protection were read: by the latch of the flow, by the
 * state of the socket, or as the first packet of a flow.
 */
#include "gate/flow_check.h"
#include "gate/audit.h"
#include "gate/new_flow.h"
#include "gate/verdict.h"
#include "packet/packet.h"

static __always_inline int is_exempt(const struct socket_verdict *v)
{
	struct latch_settings *s = settings_get();

	return v->exempt && s && v->exempt_stamp == READ_ONCE(s->rule_stamp) &&
	       v->mode == READ_ONCE(s->mode);
}

/*
 * The flow is older than latchd or the rule, and continues unlatched unless a rule forbids it. A
 * socket that is about to connect gets no exemption: it would be written for its previous
 * connection. A UDP socket gets none either, since no program sees that a connect() succeeded.
 */
static __always_inline int pass_unlatched(struct passage *p, struct socket_verdict *v)
{
	if (p->listener || p->tcp_state == BPF_TCP_SYN_SENT ||
	    p->flow.protocol == IPPROTO_UDP_NUMBER)
		v = NULL;
	if (v && is_exempt(v))
		return GATE_PASS;
	rule_of(&p->flow, p->opened, &p->rule);
	if (p->rule.action == LATCH_ACTION_REQUIRE)
		return refuse(p, LATCH_DROP_REQUIRED);
	if (v) {
		v->exempt_stamp = p->rule.stamp;
		v->exempt = 1;
		v->mode = mode_get();
	}
	return GATE_PASS;
}

static __always_inline enum latch_direction direction_of_socket(const struct passage *p,
								const struct socket_verdict *v)
{
	if (p->listener)
		return LATCH_DIRECTION_IN;
	if (p->tcp_state == BPF_TCP_SYN_SENT)
		return LATCH_DIRECTION_OUT;
	return v ? v->opened : LATCH_DIRECTION_NONE;
}

/* A latch that enforcement has broken leaves the time of its socket's last good packet as it is. */
static __always_inline void note_latched(struct socket_verdict *v, const struct latch *latch)
{
	__u32 mode = mode_get();

	v->was_latched = 1;
	if (v->mode != mode && !is_blocked(latch, mode))
		v->mode = mode;
}

static __always_inline int check(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch = latch_find(&p->flow);
	int verdict;

	count(LATCH_COUNTER_SLOW_PATH);
	/*
	 * A SYN to a listener, or from a new socket, proves that the TIME_WAIT of the same flow
	 * is over.
	 */
	if (latch && p->is_syn &&
	    (latch->owner == LATCH_OWNER_TIME_WAIT || is_provisional(latch))) {
		latch_release(&p->flow, latch);
		latch = NULL;
	}
	p->opened = direction_of_socket(p, v);
	if (latch) {
		if (v && !p->listener)
			note_latched(v, latch);
		verdict = is_larval(latch) ? new_flow_check_larval(p) : GATE_PASS;
		if (verdict != GATE_PASS)
			return verdict;
		return pass_latched(p, latch);
	}
	if (v && v->was_latched && !p->listener) {
		p->enforced = v->mode != mode_get();
		return drop(LATCH_DROP_CLOSED, p, NULL);
	}
	if (!p->may_start)
		return pass_unlatched(p, v);
	p->starts_flow = p->listener;
	verdict = new_flow_check(p);
	if (p->audited)
		audit_begin(p);
	/*
	 * Not only when the connection is established: the latch may be closed before, and then
	 * the socket stays blocked.
	 */
	latch = v && p->tcp_state == BPF_TCP_SYN_SENT ? latch_find(&p->flow) : NULL;
	if (latch)
		note_latched(v, latch);
	return verdict;
}

/* The connection of a flow without a latch is counted once in an audit. */
static __always_inline void note_audited(struct passage *p, struct socket_verdict *v)
{
	__u32 mode = mode_get();

	if (latch_find(&p->flow))
		return;
	p->uncounted = v ? v->audited != mode : p->may_start;
	if (v)
		v->audited = mode;
}

/* A global function: the verifier checks it once, not on every path that leads here. */
__noinline int check_packet(struct passage *p, struct socket_verdict *v)
{
	int verdict;

	if (!p)
		return GATE_DROP;
	verdict = check(p, v);
	if (p->audited)
		note_audited(p, v);
	return verdict;
}
