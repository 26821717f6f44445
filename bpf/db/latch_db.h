/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes of latches by the programs. Every transition goes through the state machine, and applies
 * to the latch with the caller's id, never to the next one of its flow. LISTENER latches, and
 * LARVAL ones that local users can cause, have shares of the table.
 */
#ifndef LATCH_BPF_DB_LATCH_DB_H
#define LATCH_BPF_DB_LATCH_DB_H

#include "db/maps.h"

#include "latch_fsm.h"
#include "latch_mode.h"
#include "db/audit.h"
#include "db/epochs.h"
#include "db/mark_share.h"
#include "db/rules.h"
#include "db/quota.h"
#include "db/read_once.h"

#define EEXIST 17 /* asm-generic/errno-base.h */

static __always_inline __u32 next_generation(void)
{
	struct latch_clock *clock = clock_get();

	return clock ? (__u32)__sync_fetch_and_add(&clock->generation, 1) + 1 : 0;
}

/*
 * These functions copy their keys: Linux 6.1 accepts no key in memory that is an argument
 * of a global function. Each function has its own frame, because the frames of all callers
 * share 512 bytes.
 */
static OWN_FRAME int latch_add(const struct latch_flow *flow, const struct latch *latch)
{
	struct latch_flow key = *flow;

	return (int)bpf_map_update_elem(&latches, &key, latch, BPF_NOEXIST);
}

static OWN_FRAME int latch_delete(const struct latch_flow *flow)
{
	struct latch_flow key = *flow;

	return (int)bpf_map_delete_elem(&latches, &key);
}

static __always_inline void latch_event(enum latch_event_type type, const struct latch_flow *flow,
					__u64 id, union latch_word word,
					enum latch_direction direction, __u64 listener)
{
	struct latch_event *event = event_begin(type);

	if (!event)
		return;
	event->flow = *flow;
	event->latch_id = id;
	event->word = word;
	event->direction = direction;
	event->listener = listener;
	bpf_ringbuf_submit(event, 0);
}

/*
 * The quota of LISTENERs, which need no SA. LARVAL latches under SAs that any local user can
 * install have a quota of the same size.
 */
static __always_inline __u32 latches_quota(void)
{
	const struct bpf_map *map = (const struct bpf_map *)&latches;

	return map->max_entries / 4;
}

/* Call it when a latch leaves LARVAL or its map, before its map element can be reused. */
static __always_inline void uncount_foreign_larval(struct latch *latch)
{
	struct latch_clock *clock = clock_get();

	if (clock && latch->foreign_larval && __sync_lock_test_and_set(&latch->foreign_larval, 0))
		__sync_fetch_and_sub(&clock->foreign_larvals, 1);
}

/* The same for the place of a latch among the marks, when the latch leaves its map. */
static __always_inline void uncount_mark(struct latch *latch)
{
	__u32 slot = latch->mark_share ? __sync_lock_test_and_set(&latch->mark_share, 0) : 0;

	if (slot)
		mark_share_give(slot);
}

/* A mark without a socket sends no events, since any host may cause many. No pass of its flow is
 * remembered. */
static __always_inline int is_silent(const struct latch *latch)
{
	return latch->mark_share && !latch->socket_cookie;
}

/*
 * Packets of the flow may have passed in clear so far. Without the first epoch change a gate could
 * find the latch in one direction, while the other direction still passes by memory.
 */
static __always_inline int latch_announce(const struct latch_flow *flow, const struct latch *latch)
{
	int err;

	if (latch->word.state == LATCH_STATE_LISTENER || is_silent(latch))
		return latch_add(flow, latch);
	flow_changed(flow);
	err = latch_add(flow, latch);
	if (!err)
		flow_changed(flow);
	return err;
}

/*
 * Returns non-zero if the map is full, or -EEXIST if another CPU was faster. socket_cookie and
 * listener are as in latch_create(). mark: the refused flow, with its place in share; else NULL.
 * queued: the socket has data from before. The mode is read after the time of creation, see
 * latch_answer.h.
 */
static __always_inline int
latch_insert(const struct latch_flow *flow, const struct latch_position *start, __u16 params,
	     const struct rule_decision *rule, enum latch_direction direction, __u64 socket_cookie,
	     __u64 listener, int foreign, const struct marked_flow *mark, __u32 share, int queued)
{
	struct latch_clock *clock = clock_get();
	struct latch latch = {};
	int err;

	if (!clock)
		return -1;
	latch.word.state = start->state;
	latch.word.reasons = start->reasons;
	latch.word.params = params;
	latch.word.generation = next_generation();
	latch.id = __sync_fetch_and_add(&clock->latch_id, 1) + 1;
	latch.created = latch.changed = latch.owner_since = bpf_ktime_get_boot_ns();
	latch.direction = direction;
	latch.rule = rule->index;
	latch.rule_set = (__u8)rule->stamp;
	latch.rule_flags = rule->flags & ~LATCH_RULE_SOCKETLESS;
	latch.disposition = rule->disposition;
	latch.owner = socket_cookie || start->state == LATCH_STATE_LISTENER ? LATCH_OWNER_SOCKET
									    : LATCH_OWNER_HANDSHAKE;
	latch.socket_cookie = socket_cookie;
	latch.listener = listener;
	latch.foreign_larval = !!foreign;
	latch.decided = mode_get();
	if (queued || start->state == LATCH_STATE_LARVAL)
		latch.unproven = LATCH_UNPROVEN_EARLIER;
	if (latch_mode_is_audit(latch.decided) && !(rule->flags & LATCH_RULE_WISHED))
		latch.unproven |= LATCH_UNPROVEN_AUDITED;
	if (mark) {
		latch.refusal = mark->why;
		latch.refused_params = mark->params;
		latch.mark_share = share;
	}
	err = latch_announce(flow, &latch);
	if (err) {
		if (err != -EEXIST)
			count(LATCH_COUNTER_LATCHES_FULL);
		return err;
	}
	/* Another host may cause many flows that get a mark. */
	if (start->state == LATCH_STATE_LISTENER || (mark && !socket_cookie))
		return 0;
	count(LATCH_COUNTER_LATCHES_CREATED);
	if (start->state == LATCH_STATE_ESTABLISHED)
		latch_event(LATCH_EVENT_LATCH_ESTABLISHED, flow, latch.id, latch.word, direction,
			    listener);
	return 0;
}

/*
 * Creates an ESTABLISHED latch under params. socket_cookie: of the owner; 0 = a handshake, which
 * has no socket yet. listener: id of the LISTENER that spawns it, or 0. queued: the socket has data
 * from before.
 */
static __always_inline int latch_create(const struct latch_flow *flow, __u16 params,
					const struct rule_decision *rule,
					enum latch_direction direction, __u64 socket_cookie,
					__u64 listener, int queued)
{
	struct latch_position none = {}, start;

	if (latch_fsm_step(none, LATCH_TRIGGER_CREATE, 0, &start) != LATCH_OUTCOME_MOVED)
		return -1;
	return latch_insert(flow, &start, params, rule, direction, socket_cookie, listener, 0, NULL,
			    0, queued);
}

/*
 * Creates a LARVAL latch under an unattributed SA. params: of an SA that may start no latch,
 * else 0. foreign: any local user may have made that SA.
 */
static __always_inline int latch_acquire(const struct latch_flow *flow, __u16 params,
					 const struct rule_decision *rule,
					 enum latch_direction direction, __u64 socket_cookie,
					 __u64 listener, int foreign)
{
	struct latch_position none = {}, start;
	struct latch_clock *clock = clock_get();
	int err;

	if (!clock || latch_fsm_step(none, LATCH_TRIGGER_ACQUIRE, 0, &start) != LATCH_OUTCOME_MOVED)
		return -1;
	if (foreign && !quota_take(&clock->foreign_larvals, latches_quota())) {
		count(LATCH_COUNTER_LATCHES_FULL);
		return -1;
	}
	err = latch_insert(flow, &start, params, rule, direction, socket_cookie, listener, foreign,
			   NULL, 0, 0);
	if (err && foreign)
		__sync_fetch_and_sub(&clock->foreign_larvals, 1);
	return err;
}

/*
 * Creates the mark of a flow that passes in audit mode only: a latch that is BROKEN for good. Any
 * host may cause such flows, so marks have shares (mark_share.h). Non-zero: no room.
 */
static __always_inline int latch_refuse(const struct latch_flow *flow,
					const struct rule_decision *rule,
					enum latch_direction direction, __u64 socket_cookie,
					__u64 listener, const struct marked_flow *mark)
{
	__u32 share = mark_share_slot(mark);
	struct latch_position none = {}, start;
	int err;

	if (latch_fsm_step(none, LATCH_TRIGGER_CREATE, LATCH_REASON_REFUSED, &start) !=
	    LATCH_OUTCOME_MOVED)
		return -1;
	if (!mark_share_take(share, mark->opened_here, latches_quota()))
		return -1;
	err = latch_insert(flow, &start, 0, rule, direction, socket_cookie, listener, 0, mark,
			   share, 0);
	if (err)
		mark_share_give(share);
	return err == -EEXIST ? 0 : err;
}

/* LARVAL to ESTABLISHED, under params from now on. Non-zero: another CPU was faster. */
static __always_inline int latch_establish(const struct latch_flow *flow, struct latch *latch,
					   union latch_word was, __u16 params)
{
	struct latch_position now = {.state = was.state, .reasons = was.reasons}, next;
	union latch_word is = was;

	if (latch_fsm_step(now, LATCH_TRIGGER_CREATE, 0, &next) != LATCH_OUTCOME_MOVED)
		return -1;
	is.state = next.state;
	is.reasons = next.reasons;
	is.params = params;
	is.generation = next_generation();
	if (__sync_val_compare_and_swap(&latch->word.raw, was.raw, is.raw) != was.raw)
		return -1;
	uncount_foreign_larval(latch);
	latch->changed = bpf_ktime_get_boot_ns();
	latch_event(LATCH_EVENT_LATCH_ESTABLISHED, flow, latch->id, is, latch->direction,
		    latch->listener);
	return 0;
}

/* Call it when a latch is no LISTENER any more, or was not added. */
static __always_inline void uncount_listener(void)
{
	struct latch_clock *clock = clock_get();

	if (clock)
		__sync_fetch_and_sub(&clock->listeners, 1);
}

static __always_inline int is_decided(enum latch_state before, enum latch_state after)
{
	return (before == LATCH_STATE_ESTABLISHED || before == LATCH_STATE_LARVAL) &&
	       (after == LATCH_STATE_BROKEN || after == LATCH_STATE_CLOSED);
}

/* One compare-and-swap changes state, reasons and generation together. */
static __always_inline enum latch_control_result latch_step(const struct latch_flow *flow,
							    struct latch *latch, __u64 id,
							    enum latch_trigger trigger,
							    __u8 reasons, union latch_word *after)
{
	union latch_word was, is;
	struct latch_position now, next;
	enum latch_outcome outcome;
	__u32 mode;

	was = READ_WORD(latch->word);
	is = was;
	*after = was;
	if (latch->id != id)
		return LATCH_CONTROL_NOT_FOUND;
	now.state = was.state;
	now.reasons = was.reasons;
	outcome = latch_fsm_step(now, trigger, reasons, &next);
	if (outcome == LATCH_OUTCOME_REFUSED)
		return LATCH_CONTROL_REFUSED;
	if (outcome == LATCH_OUTCOME_KEPT)
		return LATCH_CONTROL_UNCHANGED;
	is.state = next.state;
	is.reasons = next.reasons;
	is.generation = next_generation();
	/*
	 * Read before the swap, since the mode may change. Only a step that succeeds writes
	 * decided. Until then the latch has an older mode word, which passes no more packets.
	 */
	mode = mode_get();
	if (__sync_val_compare_and_swap(&latch->word.raw, was.raw, is.raw) != was.raw)
		return LATCH_CONTROL_AGAIN;
	if (is_decided(now.state, next.state))
		latch->decided = mode;
	latch->changed = bpf_ktime_get_boot_ns();
	if (was.state == LATCH_STATE_LISTENER)
		uncount_listener();
	else if (!is_silent(latch))
		flow_changed(flow);
	*after = is;
	return LATCH_CONTROL_DONE;
}

/*
 * Deletes a CLOSED latch. Several processors may try that, and after the first delete a new latch
 * may have the key. So only the processor that takes the id deletes. Non-zero: this processor did.
 */
static __always_inline int latch_take_out(const struct latch_flow *flow, struct latch *latch,
					  __u64 id)
{
	if (!id || __sync_val_compare_and_swap(&latch->id, id, 0) != id)
		return 0;
	uncount_foreign_larval(latch);
	uncount_mark(latch);
	if (!latch_delete(flow))
		return 1;
	latch->id = id;
	return 0;
}

/* Advances the epoch: a gate that found the latch may read its word after the memory was reused for
 * another flow. */
static __always_inline void latch_remove(const struct latch_flow *flow, struct latch *latch,
					 __u64 id)
{
	if (latch_take_out(flow, latch, id))
		flow_changed(flow);
}

/*
 * Finds the latch and reads its id. The id belongs to this flow only if the latch is still in the
 * map afterwards. Members that are read later belong to this id, unless latch_release() finds
 * another id.
 */
static __always_inline struct latch *latch_read(const struct latch_flow *flow, __u64 *id)
{
	struct latch *latch = bpf_map_lookup_elem(&latches, flow);

	if (!latch)
		return NULL;
	*id = READ_ONCE(latch->id);
	return bpf_map_lookup_elem(&latches, flow) == latch ? latch : NULL;
}

/*
 * Values of a latch that ends, for its event: its map element may be reused by then. word: behind
 * the end; latch_end_of() does not fill it.
 */
struct latch_end {
	__u64 id;
	__u64 listener;
	__u64 drops;
	__u16 rule;
	__u8 rule_set;
	enum latch_direction direction;
	__u8 silent; /* see is_silent() */
	union latch_word word;
};

static __always_inline void latch_end_of(const struct latch *latch, __u64 id, struct latch_end *ret)
{
	ret->id = id;
	ret->listener = latch->listener;
	ret->drops = latch->drops;
	ret->rule = latch->rule;
	ret->rule_set = latch->rule_set;
	ret->direction = latch->direction;
	ret->silent = is_silent(latch);
}

static __always_inline void latch_closed_event(const struct latch_flow *flow,
					       const struct latch_end *end)
{
	struct latch_event *event = end->silent ? NULL : event_begin(LATCH_EVENT_LATCH_CLOSED);

	if (!event)
		return;
	event->flow = *flow;
	event->latch_id = end->id;
	event->word = end->word;
	event->drops = end->drops;
	event->direction = end->direction;
	event->rule = end->rule;
	event->rule_set = end->rule_set;
	event->listener = end->listener;
	bpf_ringbuf_submit(event, 0);
}

/*
 * Moves the latch to CLOSED and deletes it. id: of latch_read(), before the caller decided to
 * release the latch. A later latch in the same memory has another id. A global function: the
 * verifier checks it once. Returns an enum latch_control_result.
 */
int latch_release(const struct latch_flow *flow, struct latch *latch, __u64 id);
/* One try of it: a global function of its own, so that the verifier checks no try again. */
int latch_release_once(const struct latch_flow *flow, struct latch *latch, struct latch_end *end);

#endif
