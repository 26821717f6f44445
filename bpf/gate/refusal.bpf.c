/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Refuses a flow that may not start, with an event. A flow sends at most one event per interval
 * (drop_event_interval). The time of the last event is in a slot that several flows share, so a
 * flood of flows causes no flood of events. Flows opened by this host have separate slots: flows
 * from outside cannot suppress the event for a local application that gets no connection. Flows
 * that continue unlatched have separate slots, too. So have those of sockets with a wish: any local
 * user can have many refused. A flow under a contested SA gets no latch before its event, so it has
 * slots of its params (modulo 128) and direction, by its two addresses: other peers, those with
 * params of such a number apart, cannot suppress the event.
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
	}
	return (hash >> 16) % REFUSAL_SLOTS;
}

static __always_inline __u32 slot_of(const struct passage *p, enum refusal_slots slots)
{
	return hash_of(p, sizeof(p->flow)) + slots * REFUSAL_SLOTS;
}

/* Peers have params of their own, numbered from 1 on. Above 128 of them two may share slots. */
static __always_inline __u32 slot_of_question(const struct passage *p)
{
	__u32 hash = hash_of(p, __builtin_offsetof(struct latch_flow, local_port));

	return REFUSALS +
	       ((p->contested % QUESTION_PEERS) * 2 + (p->egress ? 1 : 0)) * REFUSAL_SLOTS + hash;
}

static __always_inline int may_send_event(__u32 key)
{
	struct latch_settings *s = settings_get();
	__u64 now = bpf_ktime_get_boot_ns(), last;
	__u64 *last_sent = bpf_map_lookup_elem(&refusals, &key);

	if (!s || !last_sent)
		return 0;
	last = *last_sent;
	if (last && now - last < s->drop_event_interval)
		return 0;
	return __sync_val_compare_and_swap(last_sent, last, now) == last;
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
	struct latch_event *event;
	int asks = why == LATCH_DROP_CONTESTED;

	if (!may_send_event(asks ? slot_of_question(p) : slot_of(p, slots_of(p))))
		return;
	event = event_begin(LATCH_EVENT_REFUSED);
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
	if (!may_send_event(slot_of(p, SLOTS_ELSEWHERE)))
		return 0;
	event = event_begin(LATCH_EVENT_SAS_ELSEWHERE);
	if (!event)
		return 0;
	event->flow = p->flow;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
