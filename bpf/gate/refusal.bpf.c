/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Refuses a flow that may not start, with an event. A flow sends at most one event per interval
 * (drop_event_interval). The time of the last event is in a slot that several flows share, so a
 * flood of flows causes no flood of events. Flows opened by this host have separate slots: flows
 * from outside cannot suppress the event for a local application that gets no connection. Flows
 * that continue unlatched have separate slots, too. So have those of sockets with a wish: any local
 * user can have many refused. A flow under a contested SA gets no latch before its event, so it has
 * slots of its params and direction, by its two addresses: other peers cannot suppress the event.
 * Above 128 params some share slots, with other ones in each interval. A peer with one of them
 * suppresses an event of another peer now and then, and not the next one.
 */
#include "gate/refusal.h"

enum refusal_slots {
	SLOTS_OTHER,
	SLOTS_OPENED_HERE,
	SLOTS_ELSEWHERE,
	SLOTS_WISHED_OTHER,
	SLOTS_WISHED_OPENED_HERE,
};

_Static_assert(SLOTS_WISHED_OPENED_HERE + 1 == REFUSAL_KINDS, "each kind has its slots");

/* Of the first bytes of the flow: its addresses come first. */
static __always_inline __u32 hash_of(const struct passage *p, __u32 bytes)
{
	const __u32 *words = (const __u32 *)&p->flow;
	__u32 hash = 0;

	/* The last byte of an IPv4 address is the highest of its word: the shift brings it down. */
	for (__u32 i = 0; i < bytes / sizeof(*words); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b1;
		hash ^= hash >> 15;
		/* Each word is read when it is needed: together they would take a frame. */
		asm volatile("" : "+r"(hash) : : "memory");
	}
	return (hash >> 16) % REFUSAL_SLOTS;
}

static __always_inline __u32 slot_of(const struct passage *p, enum refusal_slots slots)
{
	return hash_of(p, sizeof(p->flow)) + slots * REFUSAL_SLOTS;
}

/*
 * Peers have params of their own, numbered from 1 on in the order of their use: a peer that
 * negotiates more of them can choose their number. Within 128 in a row none share slots. Which ones
 * of two such rows do changes with each turn.
 */
static __always_inline __u32 group_of_question(__u32 params_id, __u32 turn)
{
	__u32 hash = (params_id / QUESTION_PEERS) * 0x9e3779b1 ^ turn * 0x85ebca6b;

	hash = (hash ^ hash >> 15) * 0xc2b2ae35;
	return (params_id + (hash >> 16)) % QUESTION_PEERS;
}

static __always_inline __u32 slot_of_question(const struct passage *p, __u32 turn)
{
	__u32 hash = hash_of(p, __builtin_offsetof(struct latch_flow, local_port));

	return REFUSALS +
	       (group_of_question(p->contested, turn) * 2 + (p->egress ? 1 : 0)) * REFUSAL_SLOTS +
	       hash;
}

/* quiet: the time after an event without another one. */
static __always_inline int may_send_event(__u32 key, __u64 now, __u64 quiet)
{
	__u64 *last_sent = bpf_map_lookup_elem(&refusals, &key), last;

	if (!last_sent)
		return 0;
	last = *last_sent;
	if (last && now - last < quiet)
		return 0;
	return __sync_val_compare_and_swap(last_sent, last, now) == last;
}

static __always_inline int may_report(__u32 key)
{
	struct latch_settings *s = settings_get();

	return s ? may_send_event(key, bpf_ktime_get_boot_ns(), s->drop_event_interval) : 0;
}

/* Each interval is a turn. What was sent in an earlier one counts no more: the slot was another's.
 */
static OWN_FRAME int may_ask(const struct passage *p)
{
	struct latch_settings *s = settings_get();
	__u64 now = bpf_ktime_get_boot_ns(), turn, began;

	if (!s)
		return 0;
	turn = s->drop_event_interval ? now / s->drop_event_interval : 0;
	began = s->drop_event_interval ? turn * s->drop_event_interval : now;
	return may_send_event(slot_of_question(p, turn), now, now - began);
}

static __always_inline enum refusal_slots slots_of(const struct passage *p)
{
	if (p->opened == LATCH_DIRECTION_OUT)
		return p->wish ? SLOTS_WISHED_OPENED_HERE : SLOTS_OPENED_HERE;
	return p->wish ? SLOTS_WISHED_OTHER : SLOTS_OTHER;
}

/* Zero: the wishes of the socket hold. The terms of the rule refuse it, or another peer's SA. */
static __always_inline __u8 why_unwished(const struct passage *p, int why)
{
	if (p->wish_why)
		return p->wish_why;
	return why == LATCH_DROP_IDENTITY || why == LATCH_DROP_QOP || why == LATCH_DROP_CONFLICT ||
			       why == LATCH_DROP_CONTESTED
		       ? 0
		       : LATCH_WHY_REQUIRED;
}

static OWN_FRAME void report_refusal(const struct passage *p, int why, int audited)
{
	struct latch_event *event = event_begin(LATCH_EVENT_REFUSED);

	if (!event)
		return;
	event->drop = why;
	event->flow = p->flow;
	event->rule = p->rule.index;
	if (p->protection == PACKET_PROTECTED)
		event->sa = p->sa;
	event->packet = p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
	event->direction = p->opened;
	event->audited = audited;
	if (p->wish)
		event->wish = why_unwished(p, why);
	event->waits = p->wish == LATCH_DISPOSE_WAIT + 1;
	bpf_ringbuf_submit(event, 0);
}

static OWN_FRAME int may_report_refusal(const struct passage *p)
{
	return may_report(slot_of(p, slots_of(p)));
}

__noinline int refuse(struct passage *p, int why)
{
	int audited;

	if (!p)
		return GATE_DROP;
	audited = drop(why, p, NULL) == GATE_PASS;
	/* The rules have changed during the search; the next packet has its rule. */
	if (p->rule.undecided)
		return audited ? GATE_PASS : GATE_LOSE;
	/* Enforcement would lose a packet that asks, and let the next one pass or refuse the flow.
	 */
	p->refused |= audited && why != LATCH_DROP_CONTESTED;
	if (why == LATCH_DROP_CONTESTED ? may_ask(p) : may_report_refusal(p))
		report_refusal(p, why, audited);
	if (audited)
		return GATE_PASS;
	return why == LATCH_DROP_CONTESTED ? GATE_LOSE : GATE_DROP;
}

__noinline int report_elsewhere(const struct passage *p, int which)
{
	struct latch_event *event;

	if (!p)
		return 0;
	count(which);
	if (!may_report(slot_of(p, SLOTS_ELSEWHERE)))
		return 0;
	event = event_begin(LATCH_EVENT_SAS_ELSEWHERE);
	if (!event)
		return 0;
	event->flow = p->flow;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
