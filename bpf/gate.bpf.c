/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gate (a): what a TCP socket sends and receives, judged by the SA that carries
 * it. A latched flow passes only under a bound SA of its own params, and only
 * while its latch is ESTABLISHED. A flow that starts under a bound SA is latched
 * to it; one that starts in clear stays unlatched.
 */
#include "birth.h"

/* The connection's first subflow, for any subflow of MPTCP (RFC 8684). */
static __always_inline struct sock *first_subflow(struct tcp_sock *tcp)
{
	struct mptcp_subflow_context *subflow;
	struct mptcp_sock *whole;

	if (!bpf_core_field_exists(tcp->is_mptcp) || !BPF_CORE_READ(tcp, is_mptcp))
		return NULL;
	subflow = BPF_CORE_READ(tcp, inet_conn.icsk_ulp_data);
	whole = subflow ? (struct mptcp_sock *)BPF_CORE_READ(subflow, conn) : NULL;
	return whole ? BPF_CORE_READ(whole, first) : NULL;
}

/*
 * What one subflow carries belongs to the connection that the first began: where
 * that is latched, every other must be latched to the same. A subflow's first
 * packet carries nothing yet, and may give it its latch.
 */
__noinline int pass_mptcp(struct passage *p, __u64 first_socket)
{
	union latch_word want, own;
	struct latch_flow flow;
	struct latch *latch, *subflow;

	if (!p)
		return GATE_DROP;
	flow_of_kernel_socket((struct sock *)first_socket, p->flow.netns, &flow);
	latch = bpf_map_lookup_elem(&latches, &flow);
	subflow = bpf_map_lookup_elem(&latches, &p->flow);
	if (!latch || latch == subflow || (!subflow && p->initial))
		return GATE_PASS;
	want.raw = *(volatile __u64 *)&latch->word.raw;
	if (want.state != LATCH_STATE_ESTABLISHED && want.state != LATCH_STATE_LARVAL)
		return drop(LATCH_DROP_BROKEN, p, latch);
	if (!subflow)
		return drop(LATCH_DROP_PLAINTEXT, p, latch);
	own.raw = *(volatile __u64 *)&subflow->word.raw;
	if (own.params != want.params)
		return drop(mismatch(want.params, own.params), p, latch);
	return GATE_PASS;
}

/* Not static: the verifier looks at it once, whatever ways lead here. */
__noinline int judge(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch;

	if (!p)
		return GATE_DROP;
	latch = bpf_map_lookup_elem(&latches, &p->flow);
	count(LATCH_COUNTER_SLOW_PATH);
	/* What begins a flow at a listener, or leaves a new socket, proves that the owner in TIME_WAIT is gone. */
	if (latch && p->initial && latch->owner == LATCH_OWNER_TIME_WAIT) {
		latch_release(&p->flow, latch);
		latch = NULL;
	}
	if (latch) {
		if (v && !p->listener)
			v->was_latched = 1;
		return pass_latched(p, latch);
	}
	if (v && v->was_latched && !p->listener)
		return drop(LATCH_DROP_CLOSED, p, NULL);
	return p->initial ? pass_new(p) : GATE_PASS;
}

static __always_inline __u64 netns_of(struct bpf_sock *sk)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	return tcp ? BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.__sk_common.skc_net.net,
				   net_cookie) :
		     0;
}

/* Who aborts has given its port back before its reset leaves, which still names it. */
static __always_inline void flow_of_full_socket(struct bpf_sock *sk, __u64 netns,
						struct latch_flow *flow)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	flow_of_socket(sk, netns, flow);
	if (!flow->local_port && tcp)
		flow->local_port =
			bpf_ntohs(BPF_CORE_READ(tcp, inet_conn.icsk_inet.inet_sport));
}

static __always_inline __u8 family_of(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(0x0800) ? AF_INET : AF_INET6;
}

/* Whose packet it is and what covers it; non-zero: it cannot be read. */
static __always_inline int read_passage(struct __sk_buff *skb, struct bpf_sock *sk,
					struct passage *p)
{
	struct packet packet = {.cgroup = skb};
	__u64 netns = netns_of(sk);
	struct ip_headers ip;
	__u8 tcp_flags = 0;

	if (packet_headers(&packet, family_of(skb), &ip))
		return -1;
	p->cover = p->egress ? packet_egress_sa(&packet, netns, &ip, &p->sa) :
			       packet_ingress_sa(skb, netns, &p->sa);
	if (!p->listener)
		flow_of_full_socket(sk, netns, &p->flow);
	else if (flow_of_packet(&packet, &ip, netns, 0, &p->flow, &tcp_flags))
		return -1;
	p->initial = p->listener ? may_begin(tcp_flags) :
				   p->egress && sk->state == BPF_TCP_SYN_SENT;
	return 0;
}

/* Where it leaves; before Linux 6.2 where its socket last had a route to. */
static __always_inline struct net_device *device_of(struct __sk_buff *skb, struct tcp_sock *tcp)
{
	struct sk_buff *kernel_skb;

	if (!bpf_ksym_exists(bpf_cast_to_kern_ctx))
		return BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.sk_dst_cache, dev);
	kernel_skb = bpf_cast_to_kern_ctx(skb);
	return BPF_CORE_READ(kernel_skb, dev);
}

static __always_inline int gate(struct __sk_buff *skb, int egress)
{
	struct passage p = {.egress = egress};
	struct socket_verdict *v;
	struct tcp_sock *tcp;
	struct sock *first;
	struct bpf_sock *sk;

	sk = skb->sk;
	if (!sk)
		return GATE_PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_TCP_NUMBER)
		return GATE_PASS;
	v = bpf_sk_storage_get(&verdicts, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	p.socket_cookie = bpf_get_socket_cookie(skb);
	p.listener = sk->state == BPF_TCP_LISTEN;
	/* A listener sends only SYN-ACKs, whose flow is inside the ESP: gate (b) is for those. */
	if (egress && p.listener)
		return GATE_PASS;
	tcp = p.listener ? NULL : bpf_skc_to_tcp_sock(sk);
	first = tcp ? first_subflow(tcp) : NULL;
	if (read_passage(skb, sk, &p))
		return drop(LATCH_DROP_MALFORMED, &p, NULL);
	if (tcp && egress && p.cover == PACKET_PLAIN && leads_to_xfrm(device_of(skb, tcp)))
		return GATE_PASS;
	if (first && first != (struct sock *)tcp && pass_mptcp(&p, (__u64)first) == GATE_DROP)
		return GATE_DROP;
	/* The verifier knows nothing of what judge() returns. */
	return judge(&p, v) == GATE_PASS ? GATE_PASS : GATE_DROP;
}

SEC("cgroup_skb/egress")
int gate_egress(struct __sk_buff *skb)
{
	return gate(skb, 1);
}

SEC("cgroup_skb/ingress")
int gate_ingress(struct __sk_buff *skb)
{
	return gate(skb, 0);
}
