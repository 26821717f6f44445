/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checks a packet after its flow and protection were read: by the latch of the flow, by the
 * state of the socket, or as the first packet of a flow.
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

/* False: the flow has another latch by now. */
static OWN_FRAME int end_time_wait(const struct passage *p)
{
	struct latch_flow flow = p->flow;
	__u64 id = 0;
	struct latch *latch = latch_read(&flow, &id);

	if (latch && READ_ONCE(latch->owner) != LATCH_OWNER_TIME_WAIT)
		return 0;
	if (latch)
		latch_release(&flow, latch, id);
	return 1;
}

/*
 * The ACK at a listener ends the handshake, which may be old: behind a SYN cookie the latch has no
 * socket that the reaper could find. A latch that is younger than the reaper has seen it stays.
 */
static __always_inline int renew_handshake(const struct passage *p, struct latch *latch,
					   int verdict)
{
	if (verdict == GATE_PASS && p->listener && p->may_start && !p->is_syn &&
	    READ_ONCE(latch->owner) == LATCH_OWNER_HANDSHAKE)
		WRITE_ONCE(latch->owner_since, bpf_ktime_get_boot_ns());
	return verdict;
}

/* A global function: the verifier checks it once, not on every path that leads here. */
__noinline int check_packet(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch;
	int verdict;

	if (!p)
		return GATE_DROP;
	latch = latch_find(&p->flow);
	count(LATCH_COUNTER_SLOW_PATH);
	/*
	 * A SYN to a listener, or from a new socket, proves that the TIME_WAIT of the same flow
	 * is over.
	 */
	if (latch && p->is_syn && latch->owner == LATCH_OWNER_TIME_WAIT && end_time_wait(p))
		latch = NULL;
	p->opened = direction_of_socket(p, v);
	if (latch) {
		if (v && !p->listener)
			v->was_latched = 1;
		verdict = is_larval(latch) ? new_flow_check_larval(p) : GATE_PASS;
		if (verdict != GATE_PASS)
			return verdict;
		return renew_handshake(p, latch, pass_latched(p, latch));
	}
	if (v && v->was_latched && !p->listener)
		return drop(LATCH_DROP_CLOSED, p, NULL);
	if (!p->may_start)
		return pass_unlatched(p, v);
	p->starts_flow = p->listener;
	verdict = new_flow_check(p);
	/*
	 * Not only when the connection is established: the latch may be closed before, and then
	 * the socket stays blocked.
	 */
	if (v && p->tcp_state == BPF_TCP_SYN_SENT && latch_find(&p->flow))
		v->was_latched = 1;
	return verdict;
}
