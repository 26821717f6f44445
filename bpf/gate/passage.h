/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The gates' data of one packet, and their common helpers: finding its latch and its SA, and
 * dropping it. Limits the events of drops, for each latch and direction.
 */
#ifndef LATCH_BPF_GATE_PASSAGE_H
#define LATCH_BPF_GATE_PASSAGE_H

#include "db/rules.h"

/* The same values for cgroup_skb and netfilter programs. */
#define GATE_DROP 0
#define GATE_PASS 1
/*
 * The packet is dropped. To the application it is lost on the network (R-2-15). Only a
 * cgroup_skb/egress program may return it: udp_send_skb() hides NET_XMIT_DROP, unless the socket
 * has IP_RECVERR.
 */
#define GATE_LOSE 2

/* Keep it small: it shares 512 bytes of stack with the frames of all functions that check it. */
struct passage {
	struct latch_flow flow;
	struct latch_sa_key sa;	   /* valid if protection is PACKET_PROTECTED */
	__u64 socket_cookie;	   /* of the full socket */
	struct rule_decision rule; /* filled only for a flow without an ESTABLISHED latch */
	__u16 admitted;		   /* params that wishes and rule admit; 0: none so far */
	__u8 wish;	/* enum latch_app_disposition + 1: the socket has wishes (wish.h) */
	__u8 wish_drop; /* enum latch_drop: the SA does not fulfil them; 0: not known to */
	__u64 listener_id;
	enum packet_protection protection;
	enum latch_direction opened; /* OUT: this host opened the flow; NONE: unknown */
	__u8 egress;
	__u8 may_start;	    /* the packet may start a flow */
	__u8 is_syn;	    /* the packet is a SYN: its flow is no longer in TIME_WAIT */
	__u8 listener;	    /* its socket is a TCP listener */
	__u8 starts_flow;   /* the packet starts a flow at a listener */
	__u8 tcp_state : 7; /* of the full socket: BPF_TCP_* */
	__u8 lasts : 1;	    /* it passes, and so does the next equal packet: see remembered.h */
	__u8 audited;	    /* 1 + enum latch_drop: passes in audit mode only */
	__u8 refused;	    /* audited, and enforcement refuses the whole flow */
	__u8 enforced;	    /* enforcement has decided: audit mode does not let it pass */
	__u8 uncounted;	    /* audited, of a flow that was not counted yet */
	__u8 begins;	    /* new_flow_check() has decided over it */
	__u8 queued;	    /* its UDP socket has, or had, datagrams from before */
	__u8 wish_why;	    /* enum latch_why of wish_drop */
	__u8 bypass;	    /* the socket has WISH_BYPASS alone, and is no listener */
	__u16 contested;    /* params of its SA; after LATCH_DROP_CONTESTED: see refusal.bpf.c */
};

/*
 * A packet that the netfilter gate receives. The policies of XFRM, which tie an address to its SA,
 * are checked behind it (sctp_rcv(), udp_queue_rcv_one_skb(), tcp_v4_rcv()). Until then any peer
 * with a tunnel can send a packet in another one's address. It must not make or settle a latch.
 */
static __always_inline int is_before_policy(const struct passage *p)
{
	return !p->egress && !p->socket_cookie;
}

/* The rule has terms on the peer, or may have some by now: peer_terms.h. */
static __always_inline int has_terms(const struct passage *p)
{
	return p->rule.peer_set || p->rule.min_encryption || p->rule.undecided;
}

/* The wishes of the packet's socket, or the terms of the rule of a flow that begins, do not admit
 * an SA of these params, or not yet. */
static __always_inline int is_unwished(const struct passage *p, __u16 carried)
{
	return (p->wish || has_terms(p)) && carried != p->admitted;
}

static __always_inline enum latch_drop unwished_reason(const struct passage *p,
						       enum latch_drop otherwise)
{
	return p->wish_drop ? (enum latch_drop)p->wish_drop : otherwise;
}

/*
 * A UDP or SCTP socket does not know which end opened the flow. The direction of the first
 * packet decides.
 */
static __always_inline enum latch_direction opening_direction(const struct passage *p)
{
	if (p->opened)
		return p->opened;
	return p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
}

/*
 * Passes a packet of a flow without a latch. In clear the result lasts (remembered.h), unless the
 * packet passes in audit mode only.
 */
static __always_inline int pass_without_latch(struct passage *p)
{
	p->lasts = p->protection == PACKET_PLAIN && !p->audited;
	return GATE_PASS;
}

/* Both functions copy their keys, as latch_add() does. Some objects use only one of the
 * functions. */
static OWN_FRAME struct latch *latch_find(const struct latch_flow *flow)
{
	struct latch_flow key = *flow;

	return bpf_map_lookup_elem(&latches, &key);
}

static OWN_FRAME struct latch_sa *sa_find(const struct latch_sa_key *sa)
{
	struct latch_sa_key key = *sa;

	return bpf_map_lookup_elem(&sas, &key);
}

/*
 * At most one event per latch, direction and interval. A flood of packets must not become a flood
 * of events. Received packets must not hide sent ones.
 */
static __always_inline void drop_event(enum latch_drop why, const struct passage *p,
				       struct latch *latch, int audited)
{
	__u32 *stamp = &latch->drop_event[p->egress ? 1 : 0], last = *stamp;
	__u32 now = (__u32)(bpf_ktime_get_boot_ns() >> LATCH_DROP_EVENT_SHIFT);
	struct latch_settings *s = settings_get();
	struct latch_event *event;

	if (last &&
	    (__u64)(__u32)(now - last) << LATCH_DROP_EVENT_SHIFT < (s ? s->drop_event_interval : 0))
		return;
	if (__sync_val_compare_and_swap(stamp, last, now) != last)
		return;
	event = event_begin(LATCH_EVENT_DROP);
	if (!event)
		return;
	event->drop = why;
	event->flow = p->flow;
	event->latch_id = latch->id;
	event->word.raw = latch->word.raw;
	if (p->protection == PACKET_PROTECTED)
		event->sa = p->sa;
	event->drops = latch->drops;
	event->packet = p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
	event->direction = latch->direction;
	event->audited = audited;
	bpf_ringbuf_submit(event, 0);
}

/*
 * Counts a packet that is dropped. In audit mode the packet passes, and p notes the first drop
 * reason. A packet of a BROKEN or CLOSED latch passes only if the latch broke or closed in this
 * audit. A global function, as check_packet(). Returns GATE_DROP, GATE_LOSE or, in audit mode,
 * GATE_PASS.
 */
int drop_packet(struct passage *p, struct latch *latch, int why);

static __always_inline int drop(enum latch_drop why, struct passage *p, struct latch *latch)
{
	return drop_packet(p, latch, why);
}

#endif
