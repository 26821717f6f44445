/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The netfilter gate: packets of a latched flow that no full socket sends or receives, so
 * that the cgroup gate misses them or cannot tell their flow: SYN-ACKs, answers in
 * TIME_WAIT, what the control socket sends. It sees them before XFRM, with their
 * own tuple and the SA that was chosen for them. No TCP latch is born here; where a
 * rule requires one and there is none, they pass under an SA that could start one.
 * All of SCTP is judged here: its sockets do not tell the path. So is UDP that
 * arrives for a latch: what takes it out of a tunnel's socket (L2TP) comes before the cgroup gate.
 */
#include "gate/sctp.h"
#include "packet/merge.h"

extern int bpf_dynptr_from_skb(struct sk_buff *skb, __u64 flags,
			       struct bpf_dynptr *ptr) __ksym __weak; /* since Linux 6.4 */

#define IFF_LOOPBACK_FLAG 8

/* Its family comes with the hook; cover is the caller's to fill. */
struct nf_packet {
	struct passage passage;
	struct sctp_segment sctp;
	__u8 protocol;
	__u8 tcp_flags;
};

/*
 * A TCP control socket is a raw one, request and TIME_WAIT sockets are not whole,
 * and a listener's packets belong to no flow that it knows. What the control socket
 * sends in the name of another (Linux 6.13) the cgroup gate sees only if that one is also
 * said to be the sender, as IPv4 does and IPv6 does not.
 */
static __always_inline int has_full_socket(struct bpf_nf_ctx *ctx, int egress)
{
	struct sock *sk = BPF_CORE_READ(ctx->skb, sk);
	__u8 state;

	if (!sk || (egress && sk != BPF_CORE_READ(ctx->state, sk)))
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == BPF_TCP_NEW_SYN_RECV || state == BPF_TCP_TIME_WAIT || state == BPF_TCP_LISTEN)
		return 0;
	return BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP_NUMBER;
}

/* The SA that XFRM will use; a bundle of more than one goes on in its child. */
static __noinline enum packet_protection bundle_sa(const struct sk_buff *skb, __u64 netns,
						   struct latch_sa_key *sa)
{
	struct dst_entry *dst = (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & ~1ul);
	struct dst_entry *child;
	struct xfrm_state *x;

	__builtin_memset(sa, 0, sizeof(*sa));
	x = dst ? BPF_CORE_READ(dst, xfrm) : NULL;
	if (!x)
		return PACKET_PLAIN;
	child = BPF_CORE_READ((struct xfrm_dst *)dst, child);
	if (child && BPF_CORE_READ(child, xfrm))
		return PACKET_NESTED;
	state_sa(x, netns, sa);
	return PACKET_PROTECTED;
}

static __noinline enum packet_protection received_sa(struct sk_buff *skb, __u64 netns,
						     struct latch_sa_key *sa)
{
	return ingress_sa(skb, netns, sa);
}

/* What a router passes on is no flow of this host; only what has arrived knows where. */
static __always_inline int is_forwarded(const struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, skb_iif) != 0;
}

static __always_inline int flow_of_datagram(const struct packet *packet,
					    const struct ip_headers *ip, __u64 netns,
					    struct latch_flow *flow)
{
	struct udphdr udp;

	if (packet_load(packet, ip->payload, &udp, sizeof(udp)))
		return -1;
	flow_of_ports(ip, udp.source, udp.dest, netns, 0, flow);
	return 0;
}

enum nf_read_result {
	NF_UNREADABLE,
	NF_OTHER, /* nothing that the netfilter gate judges */
	NF_READ,
};

static __always_inline enum nf_read_result read_nf_flow(struct bpf_nf_ctx *ctx, struct nf_packet *h)
{
	struct bpf_dynptr bytes;
	struct packet packet = {.netfilter = &bytes};
	struct ip_headers ip;
	__u64 netns = ctx->state->net->net_cookie;
	int err = 0;

	if (bpf_dynptr_from_skb(ctx->skb, 0, &bytes) ||
	    packet_headers(&packet, ctx->state->pf == AF_INET ? AF_INET : AF_INET6, &ip))
		return NF_UNREADABLE;
	h->protocol = ip.protocol;
	if (h->protocol == IPPROTO_SCTP_NUMBER)
		err = flow_of_segment(&packet, &ip, netns, &h->passage, &h->sctp);
	else if (h->protocol == IPPROTO_TCP_NUMBER)
		err = flow_of_packet(&packet, &ip, netns, h->passage.egress, &h->passage.flow,
				     &h->tcp_flags);
	else if (h->protocol == IPPROTO_UDP_NUMBER && !h->passage.egress)
		err = flow_of_datagram(&packet, &ip, netns, &h->passage.flow);
	else
		return NF_OTHER;
	return err ? NF_UNREADABLE : NF_READ;
}

/*
 * Whether the packet is to be judged, by its flow; else *verdict is final. A later
 * fragment of what is passed on has no ports to be read.
 */
static __noinline int read_nf_packet(struct bpf_nf_ctx *ctx, struct nf_packet *h, int *verdict)
{
	enum nf_read_result read;

	*verdict = GATE_PASS;
	if (has_full_socket(ctx, h->passage.egress))
		return 0;
	read = read_nf_flow(ctx, h);
	if (read == NF_UNREADABLE && !(h->passage.egress && is_forwarded(ctx->skb)))
		*verdict = drop(LATCH_DROP_MALFORMED, &h->passage, NULL);
	return read == NF_READ;
}

/* Without a latch. Sockets that latchd does not watch have packets of this kind, too. */
static __always_inline int check_rule(struct passage *p)
{
	__u16 params;
	enum latch_drop why = reject_reason(p, &params);

	if (why == REJECT_NONE)
		return GATE_PASS;
	rule_of(&p->flow, p->opened, &p->rule);
	if (p->rule.action != LATCH_ACTION_REQUIRE || !(p->rule.flags & LATCH_RULE_SOCKETLESS))
		return GATE_PASS;
	return reject(p, why);
}

static __always_inline int is_loopback(struct net_device *device)
{
	return device && BPF_CORE_READ(device, flags) & IFF_LOOPBACK_FLAG;
}

/* The verifier knows nothing of what these return. */
static __always_inline int gate_sctp(struct nf_packet *h)
{
	int verdict = sctp_check(&h->passage, &h->sctp), joins = verdict == GATE_UNLATCHED;

	if (joins)
		verdict = sctp_check_path(&h->passage, &h->sctp);
	if (verdict == GATE_NEW_FLOW)
		verdict = new_flow_check(&h->passage);
	if (joins && verdict == GATE_PASS)
		verdict = sctp_update_path(&h->passage, &h->sctp);
	if (verdict == GATE_MARK)
		verdict = sctp_mark_association(&h->passage, &h->sctp);
	return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
}

static __always_inline int check_egress(struct nf_packet *h, struct latch *latch)
{
	if (is_syn_ack(h->tcp_flags))
		h->passage.opened = LATCH_DIRECTION_IN;
	if ((!latch || is_larval(latch)) && check_rule(&h->passage) == GATE_DROP)
		return GATE_DROP;
	return latch ? pass_latched(&h->passage, latch) : GATE_PASS;
}

SEC("netfilter")
int nf_gate_egress(struct bpf_nf_ctx *ctx)
{
	struct nf_packet h = {.passage.egress = 1};
	struct latch *latch;
	int verdict;

	if (!read_nf_packet(ctx, &h, &verdict))
		return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
	latch = latch_find(&h.passage.flow);
	if (!latch && is_forwarded(ctx->skb))
		return GATE_PASS;
	h.passage.protection = bundle_sa(ctx->skb, h.passage.flow.netns, &h.passage.sa);
	if (h.passage.protection == PACKET_PLAIN && is_xfrm_device(ctx->state->out))
		return GATE_PASS;
	if (h.protocol == IPPROTO_SCTP_NUMBER)
		return gate_sctp(&h);
	return check_egress(&h, latch);
}

static __always_inline int check_ingress(struct nf_packet *h, struct latch *latch)
{
	if (latch)
		return pass_latched(&h->passage, latch);
	h->passage.opened = LATCH_DIRECTION_IN;
	return check_rule(&h->passage);
}

SEC("netfilter")
int nf_gate_ingress(struct bpf_nf_ctx *ctx)
{
	struct nf_packet h = {};
	struct latch *latch;
	int verdict;

	if (!read_nf_packet(ctx, &h, &verdict))
		return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
	if (h.protocol == IPPROTO_SCTP_NUMBER) {
		h.passage.protection = received_sa(ctx->skb, h.passage.flow.netns, &h.passage.sa);
		h.sctp.from_here = is_loopback(ctx->state->in);
		return gate_sctp(&h);
	}
	latch = latch_find(&h.passage.flow);
	if (latch && h.protocol == IPPROTO_UDP_NUMBER) {
		h.passage.protection = received_sa(ctx->skb, h.passage.flow.netns, &h.passage.sa);
		h.passage.protection =
			protection_after_merge(h.passage.protection, &h.passage.flow);
		return pass_latched(&h.passage, latch);
	}
	/* Any other finds its socket at the cgroup gate, or draws an answer that is judged when it
	 * leaves.
	 */
	if (!latch && !is_syn(h.tcp_flags))
		return GATE_PASS;
	if (latch && latch->owner == LATCH_OWNER_SOCKET)
		return GATE_PASS;
	/* It may end TIME_WAIT and reach a listener, where the cgroup gate has it begin another
	 * flow. */
	if (latch && latch->owner == LATCH_OWNER_TIME_WAIT && is_syn(h.tcp_flags))
		latch = NULL;
	h.passage.protection = received_sa(ctx->skb, h.passage.flow.netns, &h.passage.sa);
	return check_ingress(&h, latch);
}
