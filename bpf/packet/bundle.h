/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SA that XFRM will use for an outgoing packet: the route of the packet is a bundle of SAs.
 * Decides whether such a packet passes the gate again as ESP.
 */
#ifndef LATCH_BPF_PACKET_BUNDLE_H
#define LATCH_BPF_PACKET_BUNDLE_H

#include "packet/sec_path.h"

#define OFFLOAD_PACKET 2 /* XFRM_DEV_OFFLOAD_PACKET */

static __always_inline struct dst_entry *route_of(const struct sk_buff *skb)
{
	return (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & ~1ul);
}

/* NULL: the packet is not on its way to XFRM. */
static __always_inline struct xfrm_state *bundle_state(const struct sk_buff *skb)
{
	struct dst_entry *dst = route_of(skb);

	return dst ? BPF_CORE_READ(dst, xfrm) : NULL;
}

/* A bundle of more than one SA continues in its child. */
static OWN_FRAME enum packet_protection bundle_sa(const struct sk_buff *skb, __u64 netns,
						  struct latch_sa_key *sa)
{
	struct xfrm_state *x = bundle_state(skb);
	struct dst_entry *child;

	__builtin_memset(sa, 0, sizeof(*sa));
	if (!x)
		return PACKET_PLAIN;
	child = BPF_CORE_READ((struct xfrm_dst *)route_of(skb), child);
	if (child && BPF_CORE_READ(child, xfrm))
		return PACKET_NESTED;
	return protection_of_state(x, netns, sa);
}

/*
 * True: a packet under this SA passes the cgroup gate again as ESP, with its socket. A packet
 * does not if a network card applies the SA, or if the SA has another mode.
 */
static __always_inline int returns_as_esp(struct xfrm_state *x, const struct net *net)
{
	struct xfrm_dev_offload *offload = __builtin_preserve_access_index(&x->xso);

	if (BPF_CORE_READ(x, xs_net.net) != net || !is_known_mode(x))
		return 0;
	/* Kernels without the member have no such cards (Linux 6.2). */
	return !bpf_core_field_exists(offload->type) ||
	       BPF_CORE_READ_BITFIELD_PROBED(offload, type) != OFFLOAD_PACKET;
}

#endif
