/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet that the kernel made of several packets, by GRO or from fragments, shows the SA of its
 * first part only. A peer's data could thus be delivered as another peer's. No program can prevent
 * that, but programs can observe it (merge.bpf.c, reassembly.bpf.c) and mark the packet. The gates
 * treat a marked packet as PACKET_MERGED.
 *
 * The mark is by the address of the packet's extensions, which hold the sec_path. Segments, clones
 * and copies of a packet share its extensions, whatever NAT or a queue does to it meanwhile.
 */
#ifndef LATCH_BPF_PACKET_MIXTURE_H
#define LATCH_BPF_PACKET_MIXTURE_H

#include "packet/object_mark.h"

/* Longer than an application waits for a packet in a queue (NFQUEUE). */
#define MIXTURE_SECONDS 300
/* A mark of a whole slot also stops other packets. */
#define MIXTURE_SLOT_SECONDS 10

static __always_inline struct object_marks mixed_packets(void)
{
	return (struct object_marks){&mixtures, MIXTURE_SECONDS, MIXTURE_SLOT_SECONDS};
}

/* The packet has extensions. */
static __always_inline void mark_mixture(const struct sk_buff *skb, int foreign)
{
	mark_object(mixed_packets(), BPF_CORE_READ(skb, extensions), foreign);
}

/* XFRM has just added a sec_path, most often in new memory. */
static __always_inline void clear_mixture(const struct sk_buff *skb)
{
	mark_clear(mixed_packets(), BPF_CORE_READ(skb, extensions));
}

static __always_inline int is_mixture_in(const struct sk_buff *skb, int foreign)
{
	return is_marked(mixed_packets(), BPF_CORE_READ(skb, extensions), foreign);
}

/* The packet has extensions. Its namespace is read only if a mark of a foreign namespace may
 * match. */
static OWN_FRAME int is_mixture(const struct sk_buff *skb)
{
	if (is_mixture_in(skb, 0))
		return 1;
	return is_mixture_in(skb, 1) && is_foreign(BPF_CORE_READ(skb, dev, nd_net.net));
}

#endif
