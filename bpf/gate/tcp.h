/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup gate for TCP sockets. Reads the flow of a segment of any length, such as latchd's own
 * reset, also when an aborted socket has released its port. Counts the connections that a listener
 * has spawned.
 */
#ifndef LATCH_BPF_GATE_TCP_H
#define LATCH_BPF_GATE_TCP_H

#include "gate/audit.h"
#include "gate/cgroup_packet.h"
#include "gate/flow_check.h"
#include "gate/mptcp.h"
#include "gate/stamped_check.h"
#include "gate/wish.h"

/* A socket that aborts has released its port before its reset leaves, but inet_sport still has
 * it. */
static __always_inline void flow_of_full_socket(struct bpf_sock *sk, __u64 netns,
						struct latch_flow *flow)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	flow_of_socket(sk, netns, flow);
	if (!flow->local_port && tcp)
		flow->local_port = bpf_ntohs(BPF_CORE_READ(tcp, inet_conn.icsk_inet.inet_sport));
}

static __always_inline struct latch *listener_at(struct bpf_sock *sk, __u64 netns)
{
	struct latch_flow flow;

	listener_of_socket(sk, netns, &flow);
	return latch_find(&flow);
}

static __always_inline __u64 listener_id_of(struct bpf_sock *sk, __u64 netns)
{
	struct latch *listener = listener_at(sk, netns);

	return listener ? listener->id : 0;
}

/*
 * Counts a latched or a refused connection of a LISTENER. Finds the LISTENER by its socket
 * again, because struct passage has no room for its flow.
 */
__noinline int tcp_count_spawned(struct __sk_buff *skb, struct passage *p, int passed)
{
	struct bpf_sock *sk = skb->sk;
	struct latch *listener;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !p)
		return 0;
	listener = listener_at(sk, p->flow.netns);
	if (listener && !passed)
		__sync_fetch_and_add(&listener->refused, 1);
	else if (listener && latch_find(&p->flow))
		__sync_fetch_and_add(&listener->spawned, 1);
	return 0;
}

static __always_inline int read_segment(struct __sk_buff *skb, struct passage *p, int egress)
{
	struct packet packet = {.cgroup = skb};
	struct bpf_sock *sk = skb->sk;
	struct ip_headers ip;
	__u8 tcp_flags = 0;
	int crossing;
	__u64 netns;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !p)
		return -1;
	netns = netns_of_kernel_socket(kernel_socket(sk));
	/*
	 * The peer's SYN may arrive first, if there was no SA yet for the SYN of this host (RFC
	 * 5660 section 4).
	 */
	crossing = sk->state == BPF_TCP_SYN_SENT;
	if (egress || (!p->listener && !crossing))
		flow_of_full_socket(sk, netns, &p->flow);
	if (cgroup_headers(skb, &ip))
		return -1;
	p->protection = egress ? packet_egress_sa(&packet, netns, &ip, NULL, &p->sa)
			       : ingress_sa(kernel_packet(skb), netns, &p->sa);
	if (!egress && p->listener)
		p->listener_id = listener_id_of(sk, netns);
	if (!egress && (p->listener || crossing) &&
	    flow_of_packet(&packet, &ip, netns, 0, &p->flow, &tcp_flags))
		return -1;
	p->is_syn = is_syn(tcp_flags) || (egress && sk->state == BPF_TCP_SYN_SENT);
	p->may_start = p->is_syn || (p->listener && may_start_flow(tcp_flags));
	return 0;
}

/*
 * Both fill flow, sa, protection, listener_id, is_syn and may_start of p and what the socket
 * wishes, and read listener.
 * Non-zero: the packet cannot be read. Global functions, as check_packet(); one for each direction,
 * since each gate is verified with all that it may call. No listener sends by its gate.
 */
__noinline int tcp_read_sent(struct __sk_buff *skb, struct passage *p)
{
	int unread = read_segment(skb, p, 1);

	wish_check(skb, p);
	return unread;
}

__noinline int tcp_read_received(struct __sk_buff *skb, struct passage *p)
{
	int unread = read_segment(skb, p, 0);

	wish_check(skb, p);
	return unread;
}

static __always_inline int gate_tcp(struct __sk_buff *skb, struct bpf_sock *sk, struct passage *p,
				    int egress)
{
	struct socket_verdict *v;
	struct tcp_sock *tcp;
	struct sock *first;
	int verdict, mptcp, leaves = LEAVES;

	v = bpf_sk_storage_get(&verdicts, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	p->listener = sk->state == BPF_TCP_LISTEN;
	p->tcp_state = sk->state;
	/*
	 * A listener sends only SYN-ACKs. Their flow is inside the ESP. The netfilter gate checks
	 * them.
	 */
	if (egress && p->listener)
		return GATE_PASS;
	tcp = p->listener ? NULL : bpf_skc_to_tcp_sock(sk);
	mptcp = tcp && is_mptcp(tcp);
	first = mptcp ? mptcp_first_subflow(tcp) : NULL;
	if (egress ? tcp_read_sent(skb, p) : tcp_read_received(skb, p))
		return drop_unread(LATCH_DROP_MALFORMED, p, v);
	if (tcp && egress && (p->protection == PACKET_PLAIN || p->may_start))
		leaves = comes_back(skb, p, v);
	if (leaves == COMES_BACK)
		return GATE_PASS;
	if (first && first != (struct sock *)tcp &&
	    mptcp_check_subflow(p, (__u64)first) != GATE_PASS)
		return GATE_DROP;
	/* A packet of MPTCP is checked against two latches. */
	verdict = mptcp || leaves ? check_packet(p, v) : check_and_remember(skb, p, v);
	/* A SYN that waits for an SA or a decision comes again: it is not refused. */
	if (!egress && verdict == GATE_LOSE)
		p->starts_flow = 0;
	verdict = verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
	if (p->audited && p->begins)
		audit_begin(p,
			    is_foreign(BPF_CORE_READ(kernel_socket(sk), __sk_common.skc_net.net)));
	if (!egress && p->starts_flow)
		tcp_count_spawned(skb, p, verdict == GATE_PASS && !p->refused);
	return verdict;
}

#endif
