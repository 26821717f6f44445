/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that IPVS of this host sends to another destination than their socket's. The hook of
 * IPVS gives them a new destination and a route without XFRM. It sends them without their socket
 * (ip_vs_nat_send_or_cont()), so no cgroup program sees them.
 */
#ifndef LATCH_BPF_GATE_IPVS_H
#define LATCH_BPF_GATE_IPVS_H

#include "gate/passage.h"
#include "packet/socket_flow.h"

/* The socket of a packet of IPVS, which the hook's state no longer names. NULL: IPVS did not send
 * the packet. */
static __always_inline struct sock *socket_behind_ipvs(struct bpf_nf_ctx *ctx)
{
	const struct sk_buff *skb = ctx->skb;
	struct sock *sk = BPF_CORE_READ(skb, sk);

	if (!sk || sk == BPF_CORE_READ(ctx->state, sk))
		return NULL;
	return bpf_core_field_exists(skb->ipvs_property) &&
			       BPF_CORE_READ_BITFIELD_PROBED(skb, ipvs_property)
		       ? sk
		       : NULL;
}

/* A listener has no flow. A request or timewait socket has no members of a full socket to read. */
static __always_inline int has_flow(struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == BPF_TCP_NEW_SYN_RECV || state == BPF_TCP_TIME_WAIT || state == BPF_TCP_LISTEN)
		return 0;
	switch (BPF_CORE_READ(sk, sk_protocol)) {
	case IPPROTO_TCP_NUMBER:
		return BPF_CORE_READ(sk, sk_type) == SOCK_STREAM;
	case IPPROTO_UDP_NUMBER:
		return BPF_CORE_READ(sk, sk_type) == SOCK_DGRAM && state == BPF_TCP_ESTABLISHED;
	}
	return 0;
}

/*
 * Non-zero: flow of p is the socket's, not the packet's. IPVS schedules what this host opens. A
 * datagram proves no peer, since the application may have named its destination.
 */
static OWN_FRAME int flow_behind_ipvs(struct bpf_nf_ctx *ctx, struct passage *p)
{
	struct sock *sk = socket_behind_ipvs(ctx);

	if (!sk || !has_flow(sk))
		return 0;
	flow_of_kernel_socket(sk, netns_of_kernel_socket(sk), &p->flow);
	/* A socket that aborts has already released its port. */
	if (!p->flow.local_port)
		p->flow.local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	p->opened = LATCH_DIRECTION_OUT;
	p->socket_cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	return 1;
}

#endif
