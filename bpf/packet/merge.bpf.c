/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Marks packets that GRO merged out of packets under SAs of different peers: see mixture.h. */
#include "packet/mixture.h"
#include "packet/same_protection.h"

/*
 * The merged packet shows the SA of the first packet. Without an SA it counts as in clear. A
 * mixture that is merged again stays a mixture.
 */
static __always_inline void check_merge(struct sk_buff *first, struct sk_buff *next)
{
	struct net *net;

	if (!has_sec_path(first))
		return;
	net = BPF_CORE_READ(next, dev, nd_net.net);
	if (!same_protection(first, next, BPF_CORE_READ(net, net_cookie)) || is_mixture(next))
		mark_mixture(first, is_foreign(net));
}

SEC("fentry/skb_gro_receive")
int BPF_PROG(watch_merge, struct sk_buff *first, struct sk_buff *next)
{
	check_merge(first, next);
	return 0;
}

/*
 * GRO by fragment lists, off unless a device enables it. Some kernels have no separate function
 * for it.
 */
SEC("fentry/skb_gro_receive_list")
int BPF_PROG(watch_merge_list, struct sk_buff *first, struct sk_buff *next)
{
	check_merge(first, next);
	return 0;
}
