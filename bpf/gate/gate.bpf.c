/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup gate: what a TCP socket or a connected UDP socket sends and receives, judged by
 * the SA that carries it. A latched flow passes only under a bound SA of its own params, and only
 * while its latch is ESTABLISHED. A flow that starts under a bound SA is latched
 * to it; one that starts in clear stays unlatched, or does not start at all where
 * a rule requires a latch.
 */
#include "gate/birth.h"
#include "gate/udp.h"
#include "packet/merge.h"

static __always_inline int is_exempt(const struct socket_verdict *v)
{
	struct latch_settings *s = settings_get();

	return v->exempt && s && v->exempt_stamp == *(volatile __u32 *)&s->rule_stamp;
}

/*
 * It goes on unlatched, from before latchd or from before the rule, if no rule
 * forbids that. A socket that is about to connect gets no exemption, so that none is
 * written for the connection that it had before; nor does a datagram's, which connects
 * again unseen.
 */
static __always_inline int pass_unlatched(struct passage *p, struct socket_verdict *v)
{
	if (p->listener || p->state == BPF_TCP_SYN_SENT || p->flow.protocol == IPPROTO_UDP_NUMBER)
		v = NULL;
	if (v && is_exempt(v))
		return GATE_PASS;
	rule_of(&p->flow, p->opened, &p->ruling);
	if (p->ruling.action == LATCH_ACTION_REQUIRE)
		return refuse(p, LATCH_DROP_REQUIRED);
	if (v) {
		v->exempt_stamp = p->ruling.stamp;
		v->exempt = 1;
	}
	return GATE_PASS;
}

/* The connection's first subflow, for any subflow of MPTCP (RFC 8684). */
static __noinline struct sock *first_subflow(struct tcp_sock *tcp)
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
	latch = latch_find(&flow);
	subflow = latch_find(&p->flow);
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

static __always_inline enum latch_direction opened_by(const struct passage *p,
						      const struct socket_verdict *v)
{
	if (p->listener)
		return LATCH_DIRECTION_IN;
	if (p->state == BPF_TCP_SYN_SENT)
		return LATCH_DIRECTION_OUT;
	return v ? v->opened : LATCH_DIRECTION_NONE;
}

/* Not static: the verifier looks at it once, whatever ways lead here. */
__noinline int judge(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch;
	int verdict;

	if (!p)
		return GATE_DROP;
	latch = latch_find(&p->flow);
	count(LATCH_COUNTER_SLOW_PATH);
	/* A SYN that comes to a listener, or leaves a new socket, proves that the owner in
	 * TIME_WAIT is gone. */
	if (latch && p->asks && latch->owner == LATCH_OWNER_TIME_WAIT) {
		latch_release(&p->flow, latch);
		latch = NULL;
	}
	p->opened = opened_by(p, v);
	if (latch) {
		if (v && !p->listener)
			v->was_latched = 1;
		if (is_larval(latch) && pass_ruled_larval(p) == GATE_DROP)
			return GATE_DROP;
		return pass_latched(p, latch);
	}
	if (v && v->was_latched && !p->listener)
		return drop(LATCH_DROP_CLOSED, p, NULL);
	if (!p->initial)
		return pass_unlatched(p, v);
	p->began = p->listener;
	verdict = pass_new(p);
	/* Not only once it is established: a latch that is closed before that leaves no way out. */
	if (v && p->state == BPF_TCP_SYN_SENT && latch_find(&p->flow))
		v->was_latched = 1;
	return verdict;
}

/* Who aborts has given its port back before its reset leaves, which still names it. */
static __always_inline void flow_of_full_socket(struct bpf_sock *sk, __u64 netns,
						struct latch_flow *flow)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	flow_of_socket(sk, netns, flow);
	if (!flow->local_port && tcp)
		flow->local_port = bpf_ntohs(BPF_CORE_READ(tcp, inet_conn.icsk_inet.inet_sport));
}

static __always_inline __u8 family_of(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(0x0800) ? AF_INET : AF_INET6;
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

/* What the listener's latch has come to; from its socket, which no passage has room for. */
__noinline int count_spawned(struct __sk_buff *skb, struct passage *p, int passed)
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

/* Whose packet it is and what covers it; non-zero: it cannot be read. Not static: as judge(). */
__noinline int read_passage(struct __sk_buff *skb, struct passage *p)
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
	if (packet_headers(&packet, family_of(skb), &ip))
		return -1;
	p->cover = p->egress ? packet_egress_sa(&packet, netns, &ip, &p->sa)
			     : packet_ingress_sa(skb, netns, &p->sa);
	if (p->listener)
		p->listener_id = listener_id_of(sk, netns);
	/* The peer's SYN may come first, if ours had no SA to leave under (RFC 5660 section 4). */
	crossing = !p->egress && sk->state == BPF_TCP_SYN_SENT;
	if (!p->listener && !crossing)
		flow_of_full_socket(sk, netns, &p->flow);
	else if (flow_of_packet(&packet, &ip, netns, 0, &p->flow, &tcp_flags))
		return -1;
	if (!p->egress && skb->gso_size)
		p->cover = cover_in_doubt(p->cover, &p->flow);
	p->asks = is_request(tcp_flags) || (p->egress && sk->state == BPF_TCP_SYN_SENT);
	p->initial = p->asks || (p->listener && may_begin(tcp_flags));
	return 0;
}

/* Where it leaves; before Linux 6.2 where its socket last had a route to. */
static __always_inline struct net_device *device_of(struct __sk_buff *skb, struct sock *sk)
{
	struct sk_buff *kernel_skb;

	if (!bpf_ksym_exists(bpf_cast_to_kern_ctx))
		return BPF_CORE_READ(sk, sk_dst_cache, dev);
	kernel_skb = bpf_cast_to_kern_ctx(skb);
	return BPF_CORE_READ(kernel_skb, dev);
}

static __noinline int goes_on_to_xfrm(struct __sk_buff *skb, struct sock *sk)
{
	return leads_to_xfrm(device_of(skb, sk));
}

/* ---- connected UDP ---- */

enum datagram {
	DATAGRAM_UNREADABLE,
	DATAGRAM_OTHER, /* the socket's, but not of its connection */
	DATAGRAM_OWN,
};

static __always_inline int is_at(const __u8 address[16], const __u8 header[16])
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, address, 16);
	__builtin_memcpy(b, header, 16);
	return same_bytes(a, b, 16);
}

/* Its own header is the outer one, unless it leaves as ESP, in UDP or not. */
static __always_inline enum datagram read_clear(const struct packet *packet,
						const struct ip_headers *ip, struct passage *p)
{
	const __u8 *peer = p->egress ? ip->destination : ip->source;
	__u16 local, remote;
	struct udphdr udp;

	if (packet_load(packet, ip->payload, &udp, sizeof(udp)))
		return DATAGRAM_UNREADABLE;
	local = bpf_ntohs(p->egress ? udp.source : udp.dest);
	remote = bpf_ntohs(p->egress ? udp.dest : udp.source);
	if (p->egress && local != p->flow.local_port) {
		p->cover = packet_egress_sa(packet, p->flow.netns, ip, &p->sa);
		return DATAGRAM_OWN;
	}
	return remote == p->flow.remote_port && is_at(p->flow.remote_addr, peer) ? DATAGRAM_OWN
										 : DATAGRAM_OTHER;
}

/* An enum datagram. Of the passage, flow and egress are there. Not static: as judge(). */
__noinline int read_datagram(struct __sk_buff *skb, struct passage *p)
{
	struct packet packet = {.cgroup = skb};
	struct ip_headers ip;

	if (!p)
		return DATAGRAM_UNREADABLE;
	p->cover = PACKET_PLAIN;
	if (packet_headers(&packet, family_of(skb), &ip))
		return DATAGRAM_UNREADABLE;
	/* Merged datagrams may have been taken apart again by now. */
	if (!p->egress)
		p->cover = cover_in_doubt(packet_ingress_sa(skb, p->flow.netns, &p->sa), &p->flow);
	else if (ip.protocol != IPPROTO_UDP_NUMBER)
		p->cover = packet_egress_sa(&packet, p->flow.netns, &ip, &p->sa);
	return ip.protocol == IPPROTO_UDP_NUMBER ? read_clear(&packet, &ip, p) : DATAGRAM_OWN;
}

/*
 * From its first packet on: a latch that is closed from now on leaves no way out. It may
 * be another socket's, met by one that was judged before it had a flow.
 */
static __always_inline void keep_flow(struct datagram_socket *socket, const struct passage *p)
{
	if (socket->verdict.was_latched && same_flow(&socket->flow, &p->flow))
		return;
	socket->flow = p->flow;
	if (latch_find(&p->flow))
		socket->verdict.was_latched = 1;
}

static __always_inline int judge_datagram(struct bpf_sock *sk, struct datagram_socket *socket,
					  struct passage *p)
{
	int verdict;

	if (!socket && p->cover != PACKET_PLAIN) {
		socket = datagram_socket_new(sk);
		if (!socket)
			return drop(LATCH_DROP_LATCHES_FULL, p, NULL);
	}
	/* Which of its datagrams left as ESP, only those that arrive can tell. */
	p->initial = !(p->egress && socket && socket->wanders);
	verdict = judge(p, socket ? &socket->verdict : NULL);
	if (!socket && verdict != GATE_PASS)
		socket = datagram_socket_new(sk);
	if (socket)
		keep_flow(socket, p);
	return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
}

/* One that is not connected has no flow: its datagrams pass. */
static __always_inline int gate_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					 struct passage *p)
{
	struct datagram_socket *socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	struct sock *kernel_sk = kernel_socket(sk);
	int connected = is_connected(sk), whose;

	if (connected)
		flow_of_socket(sk, netns_of_kernel_socket(kernel_sk), &p->flow);
	if (socket && socket->verdict.was_latched && !same_flow(&socket->flow, &p->flow))
		datagram_leave(socket, p->socket_cookie);
	if (!connected)
		return GATE_PASS;
	whose = read_datagram(skb, p);
	if (whose == DATAGRAM_OTHER)
		return GATE_PASS;
	if (whose != DATAGRAM_OWN)
		return drop(LATCH_DROP_MALFORMED, p, NULL);
	if (p->egress && p->cover == PACKET_PLAIN && goes_on_to_xfrm(skb, kernel_sk))
		return GATE_PASS;
	return judge_datagram(sk, socket, p);
}

static __always_inline int gate(struct __sk_buff *skb, int egress)
{
	struct passage p = {.egress = egress};
	struct socket_verdict *v;
	struct tcp_sock *tcp;
	struct sock *first;
	struct bpf_sock *sk;
	int verdict;

	sk = skb->sk;
	if (!sk)
		return GATE_PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return GATE_PASS;
	p.socket_cookie = bpf_get_socket_cookie(skb);
	if (sk->protocol == IPPROTO_UDP_NUMBER)
		return gate_datagram(skb, sk, &p);
	/* A raw socket has no flow: the kernel's own, which resets and acknowledges, is the
	 * netfilter gate's. */
	if (sk->protocol != IPPROTO_TCP_NUMBER || sk->type != SOCK_STREAM)
		return GATE_PASS;
	v = bpf_sk_storage_get(&verdicts, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	p.listener = sk->state == BPF_TCP_LISTEN;
	p.state = sk->state;
	/* A listener sends only SYN-ACKs, whose flow is inside the ESP: the netfilter gate is for
	 * those. */
	if (egress && p.listener)
		return GATE_PASS;
	tcp = p.listener ? NULL : bpf_skc_to_tcp_sock(sk);
	first = tcp ? first_subflow(tcp) : NULL;
	if (read_passage(skb, &p))
		return drop(LATCH_DROP_MALFORMED, &p, NULL);
	if (tcp && egress && p.cover == PACKET_PLAIN && goes_on_to_xfrm(skb, (struct sock *)tcp))
		return GATE_PASS;
	if (first && first != (struct sock *)tcp && pass_mptcp(&p, (__u64)first) == GATE_DROP)
		return GATE_DROP;
	/* The verifier knows nothing of what judge() returns. */
	verdict = judge(&p, v) == GATE_PASS ? GATE_PASS : GATE_DROP;
	if (p.began)
		count_spawned(skb, &p, verdict == GATE_PASS);
	return verdict;
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
