/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup gate's data of a packet besides its headers: device and bundle. Decides whether a
 * packet in clear comes back to the gate as ESP, and notes one that leaves by a VTI or another
 * tunnel device.
 */
#ifndef LATCH_BPF_GATE_CGROUP_PACKET_H
#define LATCH_BPF_GATE_CGROUP_PACKET_H

#include "gate/packet_family.h"
#include "gate/wish.h"
#include "gate/xfrm_return.h"
#include "packet/packet.h"
#include "packet/socket_flow.h"

/* Non-zero: unreadable. A global function, as check_packet(): TCP and UDP share it. */
__noinline int cgroup_headers(struct __sk_buff *skb, struct ip_headers *ip)
{
	struct packet packet = {.cgroup = skb};

	return ip ? packet_headers(&packet, family_of(skb), ip) : -1;
}

/* A global function, as check_packet(). */
__noinline int leaves_by_tunnel(struct __sk_buff *skb)
{
	return is_tunnel(kind_of_device(BPF_CORE_READ(kernel_packet(skb), dev)));
}

/*
 * COMES_BACK: the packet is in clear, is on its way to XFRM and is checked when it passes this gate
 * again. May change protection and sa of p, and then what its wishes admit. v: of the socket, or
 * NULL; notes a tunnel. A global function, as check_packet().
 */
__noinline int comes_back(struct __sk_buff *skb, struct passage *p, struct socket_verdict *v)
{
	const struct sk_buff *kernel_skb = kernel_packet(skb);
	struct bpf_sock *socket = skb->sk;
	const struct net *net;
	struct sock *sk;
	int found;

	if (!socket || !p)
		return LEAVES;
	sk = kernel_socket(socket);
	net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	if (bundle_state(kernel_skb)) {
		found = comes_back_from_nat(kernel_skb, net, p);
		/* The SA is another one now. */
		if (found == LEAVES_NOTICED && p->wish)
			wish_check(skb, p);
		return found;
	}
	if (p->protection != PACKET_PLAIN) {
		count_as_clear_after_tunnel(v, p);
		return LEAVES;
	}
	found = comes_back_from_device(BPF_CORE_READ(kernel_skb, dev), net, p);
	if (!leaves_by_tunnel(skb))
		return found;
	if (v && !v->tunnelled)
		count(LATCH_COUNTER_UNLATCHED_TUNNEL);
	if (v)
		v->tunnelled = tunnelled_now();
	return LEAVES_NOTICED;
}

#endif
