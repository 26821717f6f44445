/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checks a packet after its flow and protection were read. The check is by the latch of the flow,
 * by the state of the socket, or as the first packet of a flow. A socket stays blocked after its
 * latch is closed.
 */
#include "gate/flow_check.h"
#include "db/met_latch.h"
#include "gate/audit.h"
#include "gate/new_flow.h"
#include "gate/verdict.h"
#include "gate/wish.h"
#include "packet/packet.h"

static __always_inline int is_exempt(const struct socket_verdict *v)
{
	struct latch_settings *s = settings_get();

	return v->exempt && s && v->exempt_stamp == READ_ONCE(s->rule_stamp);
}

/*
 * The flow is older than latchd or the rule, and continues unlatched unless a rule forbids that.
 * A socket that is connecting gets no exemption: the exemption would be that of its previous
 * connection. A UDP socket gets none either, since no program sees that a connect() succeeded.
 */
static __always_inline int pass_unlatched(struct passage *p, struct socket_verdict *v)
{
	if (p->listener || p->tcp_state == BPF_TCP_SYN_SENT ||
	    p->flow.protocol == IPPROTO_UDP_NUMBER)
		v = NULL;
	if (v && !p->wish && is_exempt(v))
		return pass_without_latch(p);
	find_rule(p);
	if (p->rule.action == LATCH_ACTION_REQUIRE)
		return refuse(p, unwished_reason(p, LATCH_DROP_REQUIRED));
	/* A peer may have used up its share of marks on purpose: bpf/db/mark_share.h. */
	if (v && latch_mode_is_audit(v->began)) {
		enum latch_drop why = REJECT_NONE;
		__u16 params;

		if (p->rule.action == LATCH_ACTION_AUTO)
			why = reject_reason(p, &params);
		return is_contest(why) ? refuse(p, why) : GATE_PASS;
	}
	if (v) {
		v->exempt_stamp = p->rule.stamp;
		v->exempt = 1;
	}
	return pass_without_latch(p);
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
 * The ACK at a listener ends the handshake, which may be old. With a SYN cookie the latch has no
 * socket that the reaper could find. The new time keeps the reaper from deleting the latch.
 */
static __always_inline int renew_handshake(const struct passage *p, struct latch *latch,
					   int verdict)
{
	if (verdict == GATE_PASS && p->listener && p->may_start && !p->is_syn &&
	    READ_ONCE(latch->owner) == LATCH_OWNER_HANDSHAKE)
		WRITE_ONCE(latch->owner_since, bpf_ktime_get_boot_ns());
	return verdict;
}

/* Non-zero: the flow begins again with this packet, and its former latch is deleted. */
static __always_inline int begins_without(struct passage *p, const struct latch *latch,
					  struct socket_verdict *v)
{
	if (p->is_syn && latch->owner == LATCH_OWNER_TIME_WAIT)
		return end_time_wait(p);
	if (!begins_again(p, latch) || !audit_check_anew(p))
		return 0;
	/* The mark was the socket's only latch. */
	if (v && !p->listener)
		v->was_latched = 0;
	return 1;
}

/* The latch may come from a packet that crossed connect(), or from another listener of the port. */
static __always_inline int keep_wish(struct passage *p, struct latch *latch, int verdict)
{
	if (verdict == GATE_PASS && p->wish && !p->listener &&
	    !(READ_ONCE(latch->rule_flags) & LATCH_RULE_WISHED))
		wish_keep(p, latch);
	return verdict;
}

/* Rules may refuse the packet first, then its SA. */
static __always_inline int check_latch(struct passage *p, struct latch *latch)
{
	int verdict = is_larval(latch) ? new_flow_check_larval(p) : GATE_PASS;

	if (verdict == GATE_PASS)
		verdict = renew_handshake(p, latch, pass_latched(p, latch));
	if (p->refused)
		audit_mark_larval(p);
	return verdict;
}

static __always_inline int check(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch = latch_find(&p->flow);
	int verdict;

	count(LATCH_COUNTER_SLOW_PATH);
	p->opened = direction_of_socket(p, v);
	/*
	 * A SYN to a listener, or from a new socket, proves that the TIME_WAIT of the same flow
	 * is over.
	 */
	if (latch && begins_without(p, latch, v))
		latch = NULL;
	if (latch) {
		if (v && !p->listener)
			met_latch(v, &p->flow, latch);
		return keep_wish(p, latch, check_latch(p, latch));
	}
	if (v && v->was_latched && !p->listener) {
		decide_by_socket(p, v);
		return drop(LATCH_DROP_CLOSED, p, NULL);
	}
	if (!p->may_start)
		return pass_unlatched(p, v);
	p->starts_flow = p->listener;
	p->begins = 1;
	verdict = new_flow_check(p);
	/*
	 * The socket notes its latch before the connection is established: if the latch is
	 * closed before that, the socket stays blocked.
	 */
	latch = v && p->tcp_state == BPF_TCP_SYN_SENT ? latch_find(&p->flow) : NULL;
	if (latch)
		met_latch(v, &p->flow, latch);
	return verdict;
}

/* A connection without a latch is counted once in an audit. */
static __always_inline void note_audited(struct passage *p, struct socket_verdict *v)
{
	__u32 mode = mode_get();

	if (latch_find(&p->flow))
		return;
	if (p->listener) /* v is the listener's */
		v = NULL;
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
