/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A check in full that notes the epochs before it, so that its result can be remembered. */
#ifndef LATCH_BPF_GATE_STAMPED_CHECK_H
#define LATCH_BPF_GATE_STAMPED_CHECK_H

#include "db/epochs.h"
#include "db/forget_passes.h"
#include "gate/flow_check.h"

/* ESTABLISHED is also the state of a connected UDP socket. In other states a TCP segment may start
 * or end a flow. */
static __always_inline int is_steady(__u8 state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_CLOSE_WAIT;
}

/*
 * Remembers a packet that has passed for good, if the next one like it can be recognised. stamp:
 * the epochs before its check. A global function, as check_packet().
 */
int remember_pass(struct __sk_buff *skb, struct passage *p, __u64 stamp);

static __always_inline __u16 sa_place_of(const struct passage *p)
{
	return p->protection == PACKET_PROTECTED ? place_of_sa(&p->sa) : NO_SA;
}

static __always_inline int may_last(const struct passage *p)
{
	return is_steady(p->tcp_state) &&
	       (p->protection == PACKET_PLAIN || p->protection == PACKET_PROTECTED);
}

/* Remembers a packet only if the check sets p->lasts. A packet that passes in audit mode only does
 * not last. */
static __always_inline int check_and_remember(struct __sk_buff *skb, struct passage *p,
					      struct socket_verdict *v)
{
	__u64 stamp;
	int verdict;

	if (!may_last(p))
		return check_packet(p, v);
	stamp = epochs_sum_before_check(place_of_flow(&p->flow), sa_place_of(p));
	verdict = check_packet(p, v);
	if (stamp != NO_STAMP && verdict == GATE_PASS && p->lasts)
		remember_pass(skb, p, stamp);
	return verdict;
}

static __always_inline int is_unchanged(const struct remembered_pass *pass)
{
	__u64 stamp = READ_ONCE(pass->stamp);

	return stamp != NO_STAMP && stamp == epochs_sum(pass->flow_place, pass->sa_place, 0);
}

#endif
