/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel puts together of fragments that came out of tunnels shows the SA of the
 * first of them only; the others may have come under another's, or in clear. Only their
 * queue knows what they are put together with, and no program can keep one out of it. But
 * it is seen (reassembly.bpf.c), and what comes of it is dropped.
 */
#ifndef LATCH_BPF_PACKET_REASSEMBLY_H
#define LATCH_BPF_PACKET_REASSEMBLY_H

#include "packet/object_mark.h"

/* Longer than a queue lives by default (sysctl ipfrag_time, ip6frag_time). */
#define REASSEMBLY_SECONDS 300
/* Longer than a packet takes from there to the last gate. */
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
