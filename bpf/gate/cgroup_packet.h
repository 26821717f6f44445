/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup gate's data of a packet besides its headers: device and bundle. */
#ifndef LATCH_BPF_GATE_CGROUP_PACKET_H
#define LATCH_BPF_GATE_CGROUP_PACKET_H

#include "gate/packet_family.h"
#include "gate/xfrm_return.h"
#include "packet/packet.h"
#include "packet/socket_flow.h"

/*
 * Non-zero: the packet is in clear, is on its way to XFRM and is checked when it passes this gate
 * again. May change protection and sa of p. A global function, as check_packet().
 */
__noinline int comes_back(struct __sk_buff *skb, struct passage *p)
{
	const struct sk_buff *kernel_skb = kernel_packet(skb);
	struct bpf_sock *socket = skb->sk;
	const struct net *net;
	struct sock *sk;

	if (!socket || !p)
		return 0;
	sk = kernel_socket(socket);
	net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	if (bundle_state(kernel_skb))
		return comes_back_from_nat(kernel_skb, net, p);
	if (p->protection != PACKET_PLAIN) {
		count_as_clear_after_vti(sk, p);
		return 0;
	}
	return comes_back_from_device(BPF_CORE_READ(kernel_skb, dev), net, p);
}

#endif
