/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Audit mode at the gates. Each verdict is made as under enforcement. Only drop() asks the mode: it
 * lets the packet pass and notes the reason in the passage. A packet that passes by the mode alone
 * has passage.audited.
 */
#ifndef LATCH_BPF_GATE_AUDIT_H
#define LATCH_BPF_GATE_AUDIT_H

#include "db/latch_db.h"
#include "gate/passage.h"

/*
 * For a new flow that passes in audit mode only, after its verdict. A flow that enforcement refuses
 * gets its mark; one that enforcement lets wait gets a LARVAL latch, since it will not be repeated.
 * foreign: its namespace is of a user namespace other than the host's. Returns 0.
 */
int audit_begin(struct passage *p, int foreign);

/*
 * For a flow with a mark, which begins again with this packet. Non-zero: enforcement would not
 * refuse it now, and its mark is gone.
 */
int audit_check_anew(struct passage *p);

/* For a packet that new_flow_check_larval() refuses: see the function. Returns 0. */
int audit_mark_larval(struct passage *p);

/* Counts an audited packet. Call it once, at the end. Returns 0. */
int audit_count(struct passage *p);

/* An administrator's break stands: the mark is no longer one. */
static __always_inline int is_mark(const struct latch *latch)
{
	union latch_word word = READ_WORD(latch->word);

	return word.state == LATCH_STATE_BROKEN && word.reasons & LATCH_REASON_REFUSED &&
	       !(word.reasons & LATCH_REASON_ADMIN);
}

/* The mark of a handshake that has not ended. */
static __always_inline int is_provisional(const struct latch *latch)
{
	return latch->owner == LATCH_OWNER_HANDSHAKE && is_mark(latch);
}

/*
 * Each SYN, and each ACK that a cookie may have sent, is checked anew, as under enforcement. A
 * forged one must not leave its mark on the flow of the peer. A UDP flow has no handshake. It
 * begins again with each datagram, until enforcement begins.
 */
static __always_inline int begins_again(const struct passage *p, const struct latch *latch)
{
	if (!p->may_start && !p->is_syn)
		return 0;
	if (!is_mark(latch))
		return 0;
	if (p->flow.protocol == IPPROTO_UDP_NUMBER)
		return latch_mode_passes(mode_get(), latch->decided);
	if (latch->owner == LATCH_OWNER_HANDSHAKE)
		return p->is_syn || p->listener;
	return p->is_syn && p->tcp_state == BPF_TCP_SYN_SENT;
}

/* For a drop without a latch, of a socket that was latched: the latch may have ended by
 * enforcement. */
static __always_inline void decide_by_socket(struct passage *p, const struct socket_verdict *v)
{
	if (v && v->was_latched)
		p->enforced = !latch_mode_passes(mode_get(), v->mode);
}

/* A packet that cannot be read, or not be checked. Its socket gives its flow, if it has one. */
static __always_inline int drop_unread(enum latch_drop why, struct passage *p,
				       const struct socket_verdict *v)
{
	struct latch *latch = latch_find(&p->flow);

	if (!latch && !p->listener)
		decide_by_socket(p, v);
	return drop(why, p, latch);
}

#endif
