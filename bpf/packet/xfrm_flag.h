/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XFRM's flag in the control block of a packet that XFRM made. The kernel's own NAT relies on the
 * flag between XFRM and the end of POSTROUTING, where the cgroup gate follows.
 */
#ifndef LATCH_BPF_PACKET_XFRM_FLAG_H
#define LATCH_BPF_PACKET_XFRM_FLAG_H

#include "db/maps.h"

#define IPSKB_XFRM_TRANSFORMED	4 /* macros of net/ip.h and linux/ipv6.h, so not in BTF */
#define IP6SKB_XFRM_TRANSFORMED 1

static OWN_FRAME int is_made_by_xfrm(const struct sk_buff *skb, __u8 family)
{
	const void *block = __builtin_preserve_access_index(&skb->cb);

	if (family == AF_INET)
		return BPF_CORE_READ((const struct inet_skb_parm *)block, flags) &
		       IPSKB_XFRM_TRANSFORMED;
	return BPF_CORE_READ((const struct inet6_skb_parm *)block, flags) & IP6SKB_XFRM_TRANSFORMED;
}

#endif
