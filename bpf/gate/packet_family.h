/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The address family of a packet at the cgroup gate. */
#ifndef LATCH_BPF_GATE_PACKET_FAMILY_H
#define LATCH_BPF_GATE_PACKET_FAMILY_H

#include "db/maps.h"

static __always_inline __u8 family_of(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(0x0800) ? AF_INET : AF_INET6;
}

#endif
