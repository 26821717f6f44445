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
struct hooked {
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
static __noinline enum packet_cover bundle_sa(const struct sk_buff *skb, __u64 netns,
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

static __noinline enum packet_cover arrived_under(struct sk_buff *skb, __u64 netns,
						  struct latch_sa_key *sa)
{
	return arrival_sa(skb, netns, sa);
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

enum hooked_flow {
	HOOKED_UNREADABLE,
	HOOKED_OTHER, /* nothing that the netfilter gate judges */
	HOOKED_READ,
};

static __always_inline enum hooked_flow read_flow(struct bpf_nf_ctx *ctx, struct hooked *h)
{
	struct bpf_dynptr bytes;
	struct packet packet = {.netfilter = &bytes};
	struct ip_headers ip;
	__u64 netns = ctx->state->net->net_cookie;
	int err = 0;

	if (bpf_dynptr_from_skb(ctx->skb, 0, &bytes) ||
	    packet_headers(&packet, ctx->state->pf == AF_INET ? AF_INET : AF_INET6, &ip))
		return HOOKED_UNREADABLE;
	h->protocol = ip.protocol;
	if (h->protocol == IPPROTO_SCTP_NUMBER)
		err = flow_of_segment(&packet, &ip, netns, &h->passage, &h->sctp);
	else if (h->protocol == IPPROTO_TCP_NUMBER)
		err = flow_of_packet(&packet, &ip, netns, h->passage.egress, &h->passage.flow,
				     &h->tcp_flags);
	else if (h->protocol == IPPROTO_UDP_NUMBER && !h->passage.egress)
		err = flow_of_datagram(&packet, &ip, netns, &h->passage.flow);
	else
		return HOOKED_OTHER;
	return err ? HOOKED_UNREADABLE : HOOKED_READ;
}

/*
 * Whether the packet is to be judged, by its flow; else *verdict is final. A later
 * fragment of what is passed on has no ports to be read.
 */
static __noinline int read_hooked(struct bpf_nf_ctx *ctx, struct hooked *h, int *verdict)
{
	enum hooked_flow read;

	*verdict = GATE_PASS;
	if (has_full_socket(ctx, h->passage.egress))
		return 0;
	read = read_flow(ctx, h);
	if (read == HOOKED_UNREADABLE && !(h->passage.egress && is_forwarded(ctx->skb)))
		*verdict = drop(LATCH_DROP_MALFORMED, &h->passage, NULL);
	return read == HOOKED_READ;
}

/* Without a latch. Sockets that latchd does not watch have packets of this kind, too. */
static __always_inline int pass_ruled(struct passage *p)
{
	__u16 params;
	enum latch_drop why = hindrance(p, &params);

	if (why == HINDERED_BY_NOTHING)
		return GATE_PASS;
	rule_of(&p->flow, p->opened, &p->ruling);
	if (p->ruling.action != LATCH_ACTION_REQUIRE || !(p->ruling.flags & LATCH_RULE_SOCKETLESS))
		return GATE_PASS;
	return pass_none(p, why);
}

static __always_inline int is_loopback(struct net_device *device)
{
	return device && BPF_CORE_READ(device, flags) & IFF_LOOPBACK_FLAG;
}

/* The verifier knows nothing of what these return. */
static __always_inline int pass_sctp(struct hooked *h)
{
	int verdict = judge_sctp(&h->passage, &h->sctp), joins = verdict == GATE_UNLATCHED;

	if (joins)
		verdict = join_path(&h->passage, &h->sctp);
	if (verdict == GATE_BEGIN)
		verdict = pass_new(&h->passage);
	if (joins && verdict == GATE_PASS)
		verdict = follow_path(&h->passage, &h->sctp);
	if (verdict == GATE_MARK)
		verdict = mark_association(&h->passage, &h->sctp);
	return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
}

static __always_inline int pass_out(struct hooked *h, struct latch *latch)
{
	if (is_answer(h->tcp_flags))
		h->passage.opened = LATCH_DIRECTION_IN;
	if ((!latch || is_larval(latch)) && pass_ruled(&h->passage) == GATE_DROP)
		return GATE_DROP;
	return latch ? pass_latched(&h->passage, latch) : GATE_PASS;
}

SEC("netfilter")
int nf_gate_egress(struct bpf_nf_ctx *ctx)
{
	struct hooked h = {.passage.egress = 1};
	struct latch *latch;
	int verdict;

	if (!read_hooked(ctx, &h, &verdict))
		return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
	latch = latch_find(&h.passage.flow);
	if (!latch && is_forwarded(ctx->skb))
		return GATE_PASS;
	h.passage.cover = bundle_sa(ctx->skb, h.passage.flow.netns, &h.passage.sa);
	if (h.passage.cover == PACKET_PLAIN && leads_to_xfrm(ctx->state->out))
		return GATE_PASS;
	if (h.protocol == IPPROTO_SCTP_NUMBER)
		return pass_sctp(&h);
	return pass_out(&h, latch);
}

static __always_inline int pass_in(struct hooked *h, struct latch *latch)
{
	if (latch)
		return pass_latched(&h->passage, latch);
	h->passage.opened = LATCH_DIRECTION_IN;
	return pass_ruled(&h->passage);
}

SEC("netfilter")
int nf_gate_ingress(struct bpf_nf_ctx *ctx)
{
	struct hooked h = {};
	struct latch *latch;
	int verdict;

	if (!read_hooked(ctx, &h, &verdict))
		return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
	if (h.protocol == IPPROTO_SCTP_NUMBER) {
		h.passage.cover = arrived_under(ctx->skb, h.passage.flow.netns, &h.passage.sa);
		h.sctp.from_here = is_loopback(ctx->state->in);
		return pass_sctp(&h);
	}
	latch = latch_find(&h.passage.flow);
	if (latch && h.protocol == IPPROTO_UDP_NUMBER) {
		h.passage.cover = arrived_under(ctx->skb, h.passage.flow.netns, &h.passage.sa);
		h.passage.cover = cover_in_doubt(h.passage.cover, &h.passage.flow);
		return pass_latched(&h.passage, latch);
	}
	/* Any other finds its socket at the cgroup gate, or draws an answer that is judged when it
	 * leaves.
	 */
	if (!latch && !is_request(h.tcp_flags))
		return GATE_PASS;
	if (latch && latch->owner == LATCH_OWNER_SOCKET)
		return GATE_PASS;
	/* It may end TIME_WAIT and reach a listener, where the cgroup gate has it begin another
	 * flow. */
	if (latch && latch->owner == LATCH_OWNER_TIME_WAIT && is_request(h.tcp_flags))
		latch = NULL;
	h.passage.cover = arrived_under(ctx->skb, h.passage.flow.netns, &h.passage.sa);
	return pass_in(&h, latch);
}
