/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The netfilter gate: checks packets that no full socket sends or receives. The cgroup gate
 * misses them, or cannot read their flow: SYN-ACKs, answers in TIME_WAIT, packets of the TCP
 * control socket. The netfilter gate sees packets before XFRM, with their own tuple and the SA
 * chosen for them.
 *
 * It creates no TCP latch. Where a rule requires a latch and there is none, a packet passes under
 * an SA that could start one.
 *
 * It checks all of SCTP, because SCTP sockets do not know the path. It also checks UDP that
 * arrives for a latch: an encapsulation socket (L2TP) takes its packets before the cgroup gate.
 * Packets that IPVS sends for a socket are checked by the socket's flow (ipvs.h).
 */
#include "gate/audit.h"
#include "gate/ipvs.h"
#include "gate/sctp.h"
#include "gate/socketless.h"
#include "gate/xfrm_return.h"

extern int bpf_dynptr_from_skb(struct sk_buff *skb, __u64 flags,
			       struct bpf_dynptr *ptr) __ksym __weak; /* since Linux 6.4 */

#define IFF_LOOPBACK_FLAG 8

/*
 * One packet at a netfilter hook. The hook gives its family; its caller fills passage.protection.
 */
struct nf_packet {
	struct passage passage;
	struct sctp_segment sctp;
	__u8 protocol;
	__u8 tcp_flags;
};

/*
 * The control socket of TCP is a raw socket. Request and TIME_WAIT sockets are no full sockets. A
 * listener does not know the flow of its packets. From Linux 6.13 the control socket sends in the
 * name of another socket. The cgroup gate sees such a packet only if state->sk also names that
 * socket, which IPv4 does and IPv6 does not.
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

static __noinline enum packet_protection received_sa(struct sk_buff *skb, __u64 netns,
						     struct latch_sa_key *sa)
{
	return ingress_sa(skb, netns, sa);
}

/*
 * A forwarded packet belongs to no flow of this host. Only a received packet has an input
 * interface.
 */
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
	NF_OTHER, /* not checked by the netfilter gate */
	NF_READ,
};

static __always_inline enum nf_read_result read_nf_flow(struct bpf_nf_ctx *ctx,
							struct nf_packet *nf)
{
	struct bpf_dynptr bytes;
	struct packet packet = {.netfilter = &bytes};
	struct ip_headers ip;
	__u64 netns = ctx->state->net->net_cookie;
	int err = 0;

	if (bpf_dynptr_from_skb(ctx->skb, 0, &bytes) ||
	    packet_headers(&packet, ctx->state->pf == AF_INET ? AF_INET : AF_INET6, &ip))
		return NF_UNREADABLE;
	nf->protocol = ip.protocol;
	if (nf->protocol == IPPROTO_SCTP_NUMBER) {
		err = flow_of_segment(&packet, &ip, netns, &nf->passage, &nf->sctp);
		nf->sctp.foreign = is_foreign(ctx->state->net);
	} else if (nf->protocol == IPPROTO_TCP_NUMBER)
		err = flow_of_packet(&packet, &ip, netns, nf->passage.egress, &nf->passage.flow,
				     &nf->tcp_flags);
	else if (nf->protocol == IPPROTO_UDP_NUMBER && !nf->passage.egress)
		err = flow_of_datagram(&packet, &ip, netns, &nf->passage.flow);
	else
		return NF_OTHER;
	return err ? NF_UNREADABLE : NF_READ;
}

/*
 * Returns non-zero if the packet is to be checked by its flow; else *verdict is final. A later
 * fragment of a forwarded packet has no ports to read.
 */
static __noinline int read_nf_packet(struct bpf_nf_ctx *ctx, struct nf_packet *nf, int *verdict)
{
	enum nf_read_result read;

	*verdict = GATE_PASS;
	if (nf->passage.egress && flow_behind_ipvs(ctx, &nf->passage))
		return 1;
	if (has_full_socket(ctx, nf->passage.egress))
		return 0;
	read = read_nf_flow(ctx, nf);
	if (read == NF_UNREADABLE && !(nf->passage.egress && is_forwarded(ctx->skb))) {
		/* Enforcement may have broken the latch of its flow. */
		nf->passage.enforced = 1;
		*verdict = drop(LATCH_DROP_MALFORMED, &nf->passage, NULL);
	}
	return read == NF_READ;
}

static __always_inline int is_loopback(struct net_device *device)
{
	return device && BPF_CORE_READ(device, flags) & IFF_LOOPBACK_FLAG;
}

/* A netfilter program cannot lose a packet: the kernel makes EPERM of NF_DROP. */
static __always_inline int nf_verdict(int verdict)
{
	return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
}

/* The verifier does not know what these functions return. */
static __always_inline int gate_sctp(struct nf_packet *nf)
{
	int verdict = sctp_verdict(&nf->passage, &nf->sctp);

	return nf_verdict(verdict);
}

static __always_inline int check_egress(struct nf_packet *nf, struct latch *latch)
{
	if (is_syn_ack(nf->tcp_flags))
		nf->passage.opened = LATCH_DIRECTION_IN;
	if ((!latch || is_larval(latch)) && check_rule(&nf->passage) != GATE_PASS)
		return GATE_DROP;
	return latch ? nf_verdict(pass_latched(&nf->passage, latch)) : GATE_PASS;
}

static __always_inline int check_sent(struct bpf_nf_ctx *ctx, struct nf_packet *nf)
{
	struct latch *latch;
	int verdict;

	if (!read_nf_packet(ctx, nf, &verdict))
		return nf_verdict(verdict);
	latch = latch_find(&nf->passage.flow);
	if (!latch && is_forwarded(ctx->skb))
		return GATE_PASS;
	nf->passage.protection = bundle_sa(ctx->skb, nf->passage.flow.netns, &nf->passage.sa);
	if (nf->passage.protection == PACKET_PLAIN &&
	    comes_back_from_device(ctx->state->out, ctx->state->net, &nf->passage))
		return GATE_PASS;
	if (nf->protocol == IPPROTO_SCTP_NUMBER)
		return gate_sctp(nf);
	return check_egress(nf, latch);
}

SEC("netfilter")
int nf_gate_egress(struct bpf_nf_ctx *ctx)
{
	struct nf_packet nf = {.passage.egress = 1};
	int verdict = check_sent(ctx, &nf);

	if (nf.passage.audited && verdict == GATE_PASS)
		audit_count(&nf.passage);
	return nf_verdict(verdict);
}

static __always_inline int check_ingress(struct nf_packet *nf, struct latch *latch)
{
	/* A handshake has a listener. */
	if (!latch || latch->owner == LATCH_OWNER_HANDSHAKE)
		nf->passage.opened = LATCH_DIRECTION_IN;
	return nf_verdict(latch ? pass_received(&nf->passage, latch) : check_rule(&nf->passage));
}

static __always_inline int check_received(struct bpf_nf_ctx *ctx, struct nf_packet *nf)
{
	struct latch *latch;
	int verdict;

	if (!read_nf_packet(ctx, nf, &verdict))
		return nf_verdict(verdict);
	if (nf->protocol == IPPROTO_SCTP_NUMBER) {
		nf->passage.protection =
			received_sa(ctx->skb, nf->passage.flow.netns, &nf->passage.sa);
		nf->sctp.from_here = is_loopback(ctx->state->in);
		return gate_sctp(nf);
	}
	latch = latch_find(&nf->passage.flow);
	if (latch && nf->protocol == IPPROTO_UDP_NUMBER) {
		nf->passage.protection =
			received_sa(ctx->skb, nf->passage.flow.netns, &nf->passage.sa);
		return nf_verdict(pass_received(&nf->passage, latch));
	}
	/*
	 * The cgroup gate checks other received packets, or the answer to them is checked
	 * when it is sent.
	 */
	if (!latch && !is_syn(nf->tcp_flags))
		return GATE_PASS;
	if (latch && latch->owner == LATCH_OWNER_SOCKET)
		return GATE_PASS;
	/* A cookie's ACK begins the flow again; the cgroup gate checks it. */
	if (latch && !is_syn(nf->tcp_flags) && may_start_flow(nf->tcp_flags) &&
	    is_provisional(latch))
		return GATE_PASS;
	/*
	 * The SYN may end TIME_WAIT and reach a listener, where the cgroup gate starts another
	 * flow.
	 */
	if (latch && is_syn(nf->tcp_flags) &&
	    (latch->owner == LATCH_OWNER_TIME_WAIT || is_provisional(latch)))
		latch = NULL;
	nf->passage.protection = received_sa(ctx->skb, nf->passage.flow.netns, &nf->passage.sa);
	return check_ingress(nf, latch);
}

SEC("netfilter")
int nf_gate_ingress(struct bpf_nf_ctx *ctx)
{
	struct nf_packet nf = {};
	int verdict = check_received(ctx, &nf);

	if (nf.passage.audited && verdict == GATE_PASS)
		audit_count(&nf.passage);
	return nf_verdict(verdict);
}
