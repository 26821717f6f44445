/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The check of a packet whose flow and protection are known: by its latch, by the past of its
 * socket, or as the first packet of a flow.
 */
#include "gate/flow_check.h"
#include "gate/new_flow.h"
#include "gate/verdict.h"
#include "packet/packet.h"

static __always_inline int is_exempt(const struct socket_verdict *v)
{
	struct latch_settings *s = settings_get();

	return v->exempt && s && v->exempt_stamp == READ_ONCE(s->rule_stamp);
}

/*
 * It goes on unlatched, from before latchd or from before the rule, if no rule
 * forbids that. A socket that is about to connect gets no exemption, so that none is
 * written for the connection that it had before; nor does a datagram's, which connects
 * again unseen.
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

/* Not static: the verifier looks at it once, whatever ways lead here. */
__noinline int check_packet(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch;
	int verdict;

	if (!p)
		return GATE_DROP;
	latch = latch_find(&p->flow);
	count(LATCH_COUNTER_SLOW_PATH);
	/* A SYN that comes to a listener, or leaves a new socket, proves that the owner in
	 * TIME_WAIT is gone. */
	if (latch && p->is_syn && latch->owner == LATCH_OWNER_TIME_WAIT) {
		latch_release(&p->flow, latch);
		latch = NULL;
	}
	p->opened = direction_of_socket(p, v);
	if (latch) {
		if (v && !p->listener)
			v->was_latched = 1;
		if (is_larval(latch) && new_flow_check_larval(p) == GATE_DROP)
			return GATE_DROP;
		return pass_latched(p, latch);
	}
	if (v && v->was_latched && !p->listener)
		return drop(LATCH_DROP_CLOSED, p, NULL);
	if (!p->may_start)
		return pass_unlatched(p, v);
	p->starts_flow = p->listener;
	verdict = new_flow_check(p);
	/* Not only once it is established: a latch that is closed before that leaves no way out. */
	if (v && p->tcp_state == BPF_TCP_SYN_SENT && latch_find(&p->flow))
		v->was_latched = 1;
	return verdict;
}
