/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel puts together of fragments that came out of tunnels shows the SA of the
 * first of them only; the others may have come under another's, or in clear. Nothing can
 * keep the kernel from it, but it is seen (reassembly.bpf.c), and that packet is dropped.
 */
#ifndef LATCH_BPF_REASSEMBLY_H
#define LATCH_BPF_REASSEMBLY_H

#include "object_mark.h"

static __always_inline int is_mixture(const struct sk_buff *skb)
{
	return is_marked(&mixtures, skb);
}

/* By whom nobody judges it after: its memory will be another packet's. */
static OWN_FRAME int take_mixture(const struct sk_buff *skb)
{
	if (!is_marked(&mixtures, skb))
		return 0;
	mark_clear(&mixtures, skb);
	return 1;
}

#endif
