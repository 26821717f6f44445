/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gate (a): what a TCP socket sends and receives, judged by the SA that carries
 * it. A latched flow passes only under a bound SA of its own params, and only
 * while its latch is ESTABLISHED. A flow that starts under a bound SA is latched
 * to it; one that starts in clear stays unlatched.
 */
#include "latch_db.h"
#include "packet.h"

#define GATE_DROP 0
#define GATE_PASS 1

#define PENDING_LIMIT_DEFAULT 5000000000ull

#define TCP_FLAG_SYN 1
#define TCP_FLAG_ACK 2

struct passage {
	struct latch_flow flow;
	struct latch_sa_key sa;
	__u64 socket_cookie; /* of the full socket */
	enum packet_cover cover;
	int egress;
	int initial; /* the packet may start a flow */
	int listener;
};

/* One event a latch and interval: a flood of packets is not to become a flood of events. */
static __always_inline void drop_event(enum latch_drop why, const struct passage *p,
				       struct latch *latch)
{
	__u64 now = bpf_ktime_get_boot_ns(), last = latch->drop_event;
	struct latch_settings *s = settings_get();
	struct latch_event *event;

	if (last && now - last < (s ? s->drop_event_interval : 0))
		return;
	if (__sync_val_compare_and_swap(&latch->drop_event, last, now) != last)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(LATCH_COUNTER_EVENTS_LOST);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = now;
	event->type = LATCH_EVENT_DROP;
	event->drop = why;
	event->flow = p->flow;
	event->latch_id = latch->id;
	event->word.raw = latch->word.raw;
	if (p->cover == PACKET_PROTECTED)
		event->sa = p->sa;
	event->drops = latch->drops;
	event->packet = p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
	event->direction = latch->direction;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline int drop(enum latch_drop why, const struct passage *p, struct latch *latch)
{
	struct latch_drop_count *counted;
	__u32 key = why;

	counted = bpf_map_lookup_elem(&drops, &key);
	if (counted && p->egress)
		counted->egress++;
	else if (counted)
		counted->ingress++;
	if (latch) {
		__sync_fetch_and_add(&latch->drops, 1);
		drop_event(why, p, latch);
	}
	return GATE_DROP;
}

static __always_inline enum latch_drop mismatch(__u16 latched, __u16 carried)
{
	__u32 key = latched;
	struct latch_params *want = bpf_map_lookup_elem(&params, &key);
	struct latch_params *got;

	key = carried;
	got = bpf_map_lookup_elem(&params, &key);
	if (want && got && want->peer_id == got->peer_id && want->local_id == got->local_id)
		return LATCH_DROP_QOP;
	return LATCH_DROP_IDENTITY;
}

static __always_inline int pass_latched(struct passage *p, struct latch *latch)
{
	union latch_word word;
	union latch_sa_word sa_word;
	struct latch_sa *sa;

	word.raw = *(volatile __u64 *)&latch->word.raw;
	if (word.state != LATCH_STATE_ESTABLISHED)
		return drop(LATCH_DROP_BROKEN, p, latch);
	switch (p->cover) {
	case PACKET_PLAIN:
		return drop(LATCH_DROP_PLAINTEXT, p, latch);
	case PACKET_NESTED:
		return drop(LATCH_DROP_NESTED, p, latch);
	case PACKET_MALFORMED:
		return drop(LATCH_DROP_MALFORMED, p, latch);
	case PACKET_PROTECTED:
		break;
	}
	sa = bpf_map_lookup_elem(&sas, &p->sa);
	if (!sa)
		return drop(LATCH_DROP_SA_UNKNOWN, p, latch);
	sa_word.raw = *(volatile __u64 *)&sa->word.raw;
	if (sa_word.flags & LATCH_SA_AMBIGUOUS)
		return drop(LATCH_DROP_AMBIGUOUS, p, latch);
	if (sa_word.state == LATCH_SA_PENDING || sa_word.state == LATCH_SA_NONE)
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	if (sa_word.params != word.params)
		return drop(mismatch(word.params, sa_word.params), p, latch);
	if (p->egress && latch->spi_out != p->sa.spi)
		latch->spi_out = p->sa.spi;
	else if (!p->egress && latch->spi_in != p->sa.spi)
		latch->spi_in = p->sa.spi;
	return GATE_PASS;
}

/* No latch is born from a pending SA; beyond the limit an absent controller must not cut us off. */
static __always_inline int pass_pending(struct passage *p, __u64 installed)
{
	struct latch_settings *s = settings_get();
	__u64 limit = s && s->pending_limit ? s->pending_limit : PENDING_LIMIT_DEFAULT;

	if (bpf_ktime_get_boot_ns() - installed > limit) {
		count(LATCH_COUNTER_UNLATCHED_PENDING);
		return GATE_PASS;
	}
	return drop(LATCH_DROP_SA_PENDING, p, NULL);
}

static __always_inline int pass_new(struct passage *p)
{
	union latch_sa_word word;
	struct latch_sa *sa;

	if (p->cover == PACKET_MALFORMED)
		return drop(LATCH_DROP_MALFORMED, p, NULL);
	if (p->cover != PACKET_PROTECTED)
		return GATE_PASS;
	sa = bpf_map_lookup_elem(&sas, &p->sa);
	if (!sa) {
		count(LATCH_COUNTER_UNLATCHED_OTHER);
		return GATE_PASS;
	}
	word.raw = *(volatile __u64 *)&sa->word.raw;
	if (word.state == LATCH_SA_PENDING)
		return pass_pending(p, sa->installed);
	if (word.state != LATCH_SA_BOUND || (word.flags & LATCH_SA_AMBIGUOUS)) {
		count(LATCH_COUNTER_UNLATCHED_OTHER);
		return GATE_PASS;
	}
	if (word.flags & LATCH_SA_CONTESTED)
		return drop(LATCH_DROP_CONFLICT, p, NULL);
	if (latch_create(&p->flow, word.params, p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN,
			 p->egress ? p->socket_cookie : 0))
		return drop(LATCH_DROP_LATCHES_FULL, p, NULL);
	return GATE_PASS;
}

static __always_inline int judge(struct passage *p, struct socket_verdict *v)
{
	struct latch *latch = bpf_map_lookup_elem(&latches, &p->flow);

	count(LATCH_COUNTER_SLOW_PATH);
	/* A SYN that reaches a listener, or leaves a new socket, proves that the owner in TIME_WAIT is gone. */
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

static __always_inline int gate(struct __sk_buff *skb, int egress)
{
	struct socket_verdict *v;
	struct passage p = {};
	struct ip_headers ip;
	struct bpf_sock *sk;
	__u8 tcp_flags = 0;
	__u64 netns;

	sk = skb->sk;
	if (!sk)
		return GATE_PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_TCP_NUMBER)
		return GATE_PASS;
	netns = netns_of(sk);
	v = bpf_sk_storage_get(&verdicts, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	p.egress = egress;
	p.socket_cookie = bpf_get_socket_cookie(skb);
	p.listener = sk->state == BPF_TCP_LISTEN;
	/* A listener sends only SYN-ACKs, whose flow is inside the ESP: gate (b) is for those. */
	if (egress && p.listener)
		return GATE_PASS;
	if (packet_headers(skb, &ip))
		return drop(LATCH_DROP_MALFORMED, &p, NULL);
	p.cover = egress ? packet_egress_sa(skb, netns, &ip, &p.sa) :
			   packet_ingress_sa(skb, netns, &p.sa);
	if (!p.listener)
		flow_of_full_socket(sk, netns, &p.flow);
	else if (flow_of_ingress(skb, &ip, netns, &p.flow, &tcp_flags))
		return drop(LATCH_DROP_MALFORMED, &p, NULL);
	p.initial = p.listener ? (tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN :
				 egress && sk->state == BPF_TCP_SYN_SENT;
	return judge(&p, v);
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
