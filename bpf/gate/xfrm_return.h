/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that leave in clear, are on their way to XFRM and pass the gates again as ESP. Source NAT
 * or an xfrm interface leads them there. A packet that a VTI or another tunnel device takes counts
 * as in clear.
 */
#ifndef LATCH_BPF_GATE_XFRM_RETURN_H
#define LATCH_BPF_GATE_XFRM_RETURN_H

#include "gate/refusal.h"
#include "packet/bundle.h"
#include "packet/xfrm_device.h"

/* Results of comes_back(). */
#define LEAVES	       0
#define COMES_BACK     1 /* the packet is checked when it passes the gate again as ESP */
#define LEAVES_NOTICED 2 /* the check must see each such packet: its pass is not remembered */

/*
 * Source NAT has rerouted the packet, and so chosen its SA. The packet is still in clear. A packet
 * of a latched flow is checked here by that SA, too.
 */
static OWN_FRAME int comes_back_from_nat(const struct sk_buff *kernel_skb, const struct net *net,
					 struct passage *p)
{
	struct xfrm_state *x = bundle_state(kernel_skb);

	if (!x)
		return LEAVES_NOTICED;
	p->protection = PACKET_PLAIN;
	if (!returns_as_esp(x, net))
		return LEAVES_NOTICED;
	if (!latch_find(&p->flow))
		return COMES_BACK;
	p->protection = bundle_sa(kernel_skb, p->flow.netns, &p->sa);
	return LEAVES_NOTICED;
}

static OWN_FRAME int comes_back_from_device(const struct net_device *device, const struct net *net,
					    const struct passage *p)
{
	switch (place_of_sas(device, net)) {
	case SAS_PLACE_HERE:
		return COMES_BACK;
	case SAS_PLACE_HIDDEN:
		report_elsewhere(p, is_foreign((struct net *)net) ? LATCH_COUNTER_ELSEWHERE_FOREIGN
								  : LATCH_COUNTER_SAS_ELSEWHERE);
		return LEAVES_NOTICED;
	case SAS_PLACE_NONE:
		break;
	}
	return LEAVES;
}

/* Longer than a packet is under way between a tunnel device and its ESP. */
#define TUNNELLED_SECONDS 5

static __always_inline __u32 tunnelled_now(void)
{
	return (__u32)(bpf_ktime_get_ns() / 1000000000) + 1;
}

/*
 * A tunnel device sends the packet as its own, under an SA: VTI always, other devices if the ESP
 * is made asynchronously. Packets received through the device show no SA, so a latch would end the
 * flow. The sent packet therefore counts as in clear. The socket's route may have changed since.
 * The clock of another CPU may be a little ahead.
 */
static OWN_FRAME void count_as_clear_after_tunnel(const struct socket_verdict *v, struct passage *p)
{
	if (p->protection == PACKET_PROTECTED && v && v->tunnelled &&
	    (__s32)(tunnelled_now() - v->tunnelled) <= TUNNELLED_SECONDS && !latch_find(&p->flow))
		p->protection = PACKET_PLAIN;
}

#endif
