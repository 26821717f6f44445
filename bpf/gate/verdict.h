/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What both gates say of a packet of a latched flow. */
#ifndef LATCH_BPF_GATE_VERDICT_H
#define LATCH_BPF_GATE_VERDICT_H

#include "db/latch_db.h"
#include "packet/packet.h"

/* The same for cgroup_skb and netfilter. */
#define GATE_DROP 0
#define GATE_PASS 1

/* Small: it lies on the stack below all that judge it, and they have 512 bytes together. */
struct passage {
	struct latch_flow flow;
	struct latch_sa_key sa;
	__u64 socket_cookie;  /* of the full socket */
	struct ruling ruling; /* only when there is no latch */
	__u64 listener_id;
	enum packet_cover cover;
	enum latch_direction opened; /* who did, if that is known */
	__u8 egress;
	__u8 initial; /* the packet may start a flow */
	__u8 asks;    /* ... as a SYN, which finds nobody in TIME_WAIT any more */
	__u8 listener;
	__u8 began; /* and was asked to, at a listener */
	__u8 state; /* of the full socket */
};

/* Their keys are copied, as in latch_put(). Not every object asks for both. */
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
	event = event_begin(LATCH_EVENT_DROP);
	if (!event)
		return;
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

static __always_inline void note_spi(const struct passage *p, struct latch *latch)
{
	if (p->egress && latch->spi_out != p->sa.spi)
		latch->spi_out = p->sa.spi;
	else if (!p->egress && latch->spi_in != p->sa.spi)
		latch->spi_in = p->sa.spi;
}

#define PENDING_LIMIT_DEFAULT 5000000000ull

/* Beyond the limit an absent controller must not cut the host off. */
static __always_inline int is_beyond_limit(const struct latch_sa *sa)
{
	struct latch_settings *s = settings_get();
	__u64 limit = s && s->pending_limit ? s->pending_limit : PENDING_LIMIT_DEFAULT;

	return bpf_ktime_get_boot_ns() - sa->installed > limit;
}

/* No latch for this flow: drops the packet for an enum latch_drop, and says so to the controller.
 */
int refuse(const struct passage *p, int why);

#define HINDERED_BY_NOTHING LATCH_DROP_COUNT

/* Why no latch can be born ESTABLISHED from what covers the packet; else *ret_params are its SA's.
 */
static __always_inline enum latch_drop hindrance(const struct passage *p, __u16 *ret_params)
{
	union latch_sa_word word;
	struct latch_sa *sa;

	if (p->cover == PACKET_MALFORMED)
		return LATCH_DROP_MALFORMED;
	if (p->cover == PACKET_IN_DOUBT)
		return LATCH_DROP_MERGED;
	if (p->cover != PACKET_PROTECTED)
		return LATCH_DROP_REQUIRED;
	sa = sa_find(&p->sa);
	if (!sa)
		return LATCH_DROP_REQUIRED;
	word.raw = *(volatile __u64 *)&sa->word.raw;
	if (word.state == LATCH_SA_PENDING && !is_beyond_limit(sa))
		return LATCH_DROP_SA_PENDING;
	if (word.state != LATCH_SA_BOUND || word.flags & LATCH_SA_AMBIGUOUS)
		return LATCH_DROP_REQUIRED;
	if (word.flags & LATCH_SA_CONTESTED)
		return LATCH_DROP_CONFLICT;
	*ret_params = word.params;
	return HINDERED_BY_NOTHING;
}

/* A packet that a rule requires a latch of, and that can start none. */
static __always_inline int pass_none(const struct passage *p, enum latch_drop why)
{
	/* Its SA is being attributed: to the application that is packet loss (R-2-15). */
	if (why == LATCH_DROP_SA_PENDING)
		return drop(why, p, NULL);
	refuse(p, why);
	return GATE_DROP; /* of what refuse() returns the verifier knows nothing */
}

static __always_inline int is_larval(const struct latch *latch)
{
	union latch_word word;

	word.raw = *(volatile __u64 *)&latch->word.raw;
	return word.state == LATCH_STATE_LARVAL;
}

/*
 * A LARVAL latch lets pass what nobody can attribute, but nothing in clear; the
 * first SA that somebody can makes it ESTABLISHED.
 */
static __always_inline int pass_larval(struct passage *p, struct latch *latch,
				       union latch_word word)
{
	union latch_sa_word sa_word;
	struct latch_sa *sa = sa_find(&p->sa);

	if (!sa)
		return GATE_PASS;
	sa_word.raw = *(volatile __u64 *)&sa->word.raw;
	if (sa_word.state == LATCH_SA_PENDING && !is_beyond_limit(sa))
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	if (word.params && sa_word.params && sa_word.params != word.params)
		return drop(mismatch(word.params, sa_word.params), p, latch);
	if (sa_word.state != LATCH_SA_BOUND || sa_word.flags & LATCH_SA_AMBIGUOUS)
		return GATE_PASS;
	if (sa_word.flags & LATCH_SA_CONTESTED)
		return drop(LATCH_DROP_CONFLICT, p, latch);
	if (latch_settle(&p->flow, latch, word, sa_word.params))
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	note_spi(p, latch);
	return GATE_PASS;
}

static __always_inline int pass_established(struct passage *p, struct latch *latch,
					    union latch_word word)
{
	union latch_sa_word sa_word;
	struct latch_sa *sa = sa_find(&p->sa);

	if (!sa)
		return drop(LATCH_DROP_SA_UNKNOWN, p, latch);
	sa_word.raw = *(volatile __u64 *)&sa->word.raw;
	if (sa_word.flags & LATCH_SA_AMBIGUOUS)
		return drop(LATCH_DROP_AMBIGUOUS, p, latch);
	if (sa_word.state == LATCH_SA_PENDING || sa_word.state == LATCH_SA_NONE)
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	if (sa_word.params != word.params)
		return drop(mismatch(word.params, sa_word.params), p, latch);
	note_spi(p, latch);
	return GATE_PASS;
}

static OWN_FRAME int pass_latched(struct passage *p, struct latch *latch)
{
	union latch_word word;

	word.raw = *(volatile __u64 *)&latch->word.raw;
	if (word.state != LATCH_STATE_ESTABLISHED && word.state != LATCH_STATE_LARVAL)
		return drop(LATCH_DROP_BROKEN, p, latch);
	switch (p->cover) {
	case PACKET_PLAIN:
		return drop(LATCH_DROP_PLAINTEXT, p, latch);
	case PACKET_NESTED:
		return drop(LATCH_DROP_NESTED, p, latch);
	case PACKET_MALFORMED:
		return drop(LATCH_DROP_MALFORMED, p, latch);
	case PACKET_IN_DOUBT:
		return drop(LATCH_DROP_MERGED, p, latch);
	case PACKET_PROTECTED:
		break;
	}
	return word.state == LATCH_STATE_LARVAL ? pass_larval(p, latch, word)
						: pass_established(p, latch, word);
}

#endif
