/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet reassembled from tunnelled fragments shows the SA of the first fragment only. The
 * others may have arrived under another peer's SA, or in clear. Only their queue shows which
 * fragments are reassembled, and no program can reject a fragment there. A program can observe the
 * queue (reassembly.bpf.c), and the gates drop the reassembled packet.
 */
#ifndef LATCH_BPF_PACKET_REASSEMBLY_H
#define LATCH_BPF_PACKET_REASSEMBLY_H

#include "packet/object_mark.h"

/* Longer than a queue lives by default (sysctl ipfrag_time, ip6frag_time). */
#define REASSEMBLY_SECONDS 300
/* Longer than a packet takes from reassembly to the last gate. */
#define MIXTURE_SECONDS 10

static __always_inline struct object_marks mixed_queues(void)
{
	return (struct object_marks){&reassemblies, REASSEMBLY_SECONDS};
}

static __always_inline struct object_marks mixed_packets(void)
{
	return (struct object_marks){&mixtures, MIXTURE_SECONDS};
}

static OWN_FRAME int is_mixture(const struct sk_buff *skb)
{
	return is_marked(mixed_packets(), skb);
}

#endif
