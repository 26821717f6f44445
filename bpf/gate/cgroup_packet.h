/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup gate's data of a packet besides its headers: address family and device. */
#ifndef LATCH_BPF_GATE_CGROUP_PACKET_H
#define LATCH_BPF_GATE_CGROUP_PACKET_H

#include "packet/packet.h"
#include "packet/socket_flow.h"
#include "packet/xfrm_device.h"

static __always_inline __u8 family_of(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(0x0800) ? AF_INET : AF_INET6;
}

/* The packet's output device. Before Linux 6.2: the device of its socket's last route. */
static __always_inline struct net_device *egress_device(struct __sk_buff *skb, struct sock *sk)
{
	struct sk_buff *kernel_skb;

	if (!bpf_ksym_exists(bpf_cast_to_kern_ctx))
		return BPF_CORE_READ(sk, sk_dst_cache, dev);
	kernel_skb = bpf_cast_to_kern_ctx(skb);
	return BPF_CORE_READ(kernel_skb, dev);
}

static OWN_FRAME int leaves_by_xfrm_device(struct __sk_buff *skb, struct sock *sk)
{
	return is_xfrm_device(egress_device(skb, sk));
}

#endif
