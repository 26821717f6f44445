/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Audit mode at the gates. Each verdict is made as under enforcement. Only drop() changes it by the
 * mode: in audit mode it passes the packet and notes the reason in passage.audited. A packet over
 * which enforcement has decided is dropped in audit mode, too: is_blocked(), passage.enforced. So
 * passage.audited marks a packet that passes by audit mode alone.
 */
#ifndef LATCH_BPF_GATE_AUDIT_H
#define LATCH_BPF_GATE_AUDIT_H

#include "db/latch_db.h"
#include "gate/passage.h"

/*
 * Call it after the verdict on a new flow that passes in audit mode only. A flow that enforcement
 * would refuse gets its mark. A flow that enforcement would let wait, for an SA or for a decision,
 * gets a LARVAL latch, since its packet is not sent again. foreign: its namespace belongs to a user
 * namespace other than the host's. Returns 0.
 */
int audit_begin(struct passage *p, int foreign);

/*
 * Checks a marked flow that begins again with this packet. Non-zero: enforcement would not
 * refuse the flow now, and its mark is deleted: by a packet that may begin a flow.
 */
int audit_check_anew(struct passage *p);

/* Marks the LARVAL flow of a packet that new_flow_check_larval() refuses, once its handshake has
 * completed. Returns 0. */
int audit_mark_larval(struct passage *p);

/* Counts an audited packet. Call it once, at the end. Returns 0. */
int audit_count(struct passage *p);

/* A mark that an administrator has broken is not a mark any more: the break stays. */
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
 * Each SYN, and each ACK that may answer a SYN cookie, is checked anew, as under enforcement.
 * A forged SYN or ACK must not leave its mark on the flow of the peer. A UDP flow has no
 * handshake. It begins again with each datagram, until enforcement begins.
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

/* The packet of a socket that was latched is dropped without a latch. Enforcement may have ended
 * that latch. */
static __always_inline void decide_by_socket(struct passage *p, const struct socket_verdict *v)
{
	if (v && v->was_latched)
		p->enforced |= !latch_mode_passes(mode_get(), v->mode);
}

/* Drops a packet that cannot be read or checked. Its flow is the flow of its socket, if the socket
 * has one. */
static __always_inline int drop_unread(enum latch_drop why, struct passage *p,
				       const struct socket_verdict *v)
{
	struct latch *latch = latch_find(&p->flow);

	if (!latch && !p->listener)
		decide_by_socket(p, v);
	return drop(why, p, latch);
}

#endif
