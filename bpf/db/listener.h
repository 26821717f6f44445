/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LISTENER latches. All sockets that listen at a local address and port (SO_REUSEPORT) share one.
 * The number of sockets is part of the latch's word. So a socket that joins and the last socket
 * that leaves cannot both succeed: no socket joins a latch that is being released.
 */
#ifndef LATCH_BPF_DB_LISTENER_H
#define LATCH_BPF_DB_LISTENER_H

#include "db/latch_db.h"

#define LISTENER_TRIES	     65536 /* a failed try means that another CPU completed a step */
#define LISTENER_SOCKETS_MAX 0xffff

struct listener_step {
	struct latch_flow flow;
	__u64 socket_cookie;
	__u16 sockets;
	int done;
};

/* Returns non-zero if the quota or the map is full, or -EEXIST if another CPU was faster. */
static __always_inline int listener_insert(const struct latch_flow *flow, __u16 sockets,
					   __u64 socket_cookie)
{
	const struct rule_decision no_rule = {.index = LATCH_RULE_NONE};
	struct latch_position none = {}, start;
	struct latch_clock *clock = clock_get();
	int err;

	if (!clock || !quota_take(&clock->listeners, latches_quota()) ||
	    latch_fsm_step(none, LATCH_TRIGGER_LISTEN, 0, &start) != LATCH_OUTCOME_MOVED)
		return -1;
	err = latch_insert(flow, &start, sockets, &no_rule, LATCH_DIRECTION_IN, socket_cookie, 0, 0,
			   NULL, 0, 0);
	if (err)
		uncount_listener();
	return err;
}

/*
 * Finds the latch at flow and reads its word. Map elements are reused, so the word belongs to
 * this latch only if the latch is still at flow afterwards. Then a compare-and-swap with that
 * word changes no other latch.
 */
static __always_inline struct latch *listener_read(const struct latch_flow *flow,
						   union latch_word *word)
{
	struct latch *latch = bpf_map_lookup_elem(&latches, flow);

	if (!latch)
		return NULL;
	*word = READ_WORD(latch->word);
	return bpf_map_lookup_elem(&latches, flow) == latch ? latch : NULL;
}

static __always_inline int listener_swap(struct latch *latch, union latch_word was,
					 union latch_word is)
{
	is.generation = next_generation();
	if (__sync_val_compare_and_swap(&latch->word.raw, was.raw, is.raw) != was.raw)
		return -1;
	latch->changed = bpf_ktime_get_boot_ns();
	return 0;
}

static long join_once(__u32 index, struct listener_step *step)
{
	union latch_word was, is;
	struct latch *latch = listener_read(&step->flow, &was);
	int err;

	if (!latch) {
		err = listener_insert(&step->flow, 1, step->socket_cookie);
		step->done = !err;
		return err != -EEXIST;
	}
	if (was.state != LATCH_STATE_LISTENER)
		return 0;
	if (was.params == LISTENER_SOCKETS_MAX)
		return 1;
	is = was;
	is.params++;
	step->done = !listener_swap(latch, was, is);
	return step->done;
}

/*
 * Sets the number of sockets. With 0 the latch moves to CLOSED and is deleted. Non-zero: another
 * CPU was faster.
 */
static __always_inline int listener_set(const struct latch_flow *flow, struct latch *latch,
					union latch_word was, __u16 sockets)
{
	struct latch_position now = {.state = was.state}, next = now;
	union latch_word is = was;
	__u64 id = latch->id; /* of this latch, if the swap succeeds */

	if (!sockets && latch_fsm_step(now, LATCH_TRIGGER_RELEASE, 0, &next) != LATCH_OUTCOME_MOVED)
		return -1;
	is.state = next.state;
	is.params = sockets;
	if (listener_swap(latch, was, is))
		return -1;
	if (!sockets) {
		uncount_listener();
		latch_take_out(flow, latch, id);
	}
	return 0;
}

static long leave_once(__u32 index, struct listener_step *step)
{
	union latch_word was;
	struct latch *latch = listener_read(&step->flow, &was);

	if (!latch)
		return !bpf_map_lookup_elem(&latches, &step->flow);
	if (was.state != LATCH_STATE_LISTENER || !was.params)
		return 1;
	step->done = !listener_set(&step->flow, latch, was, was.params - 1);
	return step->done;
}

/*
 * Non-zero: the map or the quota of listeners is full, LISTENER_SOCKETS_MAX is reached, or the
 * tries are used up. The controller counts the sockets again later.
 */
static __always_inline int listener_join(const struct latch_flow *flow, __u64 socket_cookie)
{
	struct listener_step step = {.flow = *flow, .socket_cookie = socket_cookie};

	bpf_loop(LISTENER_TRIES, join_once, &step, 0);
	return step.done ? 0 : -1;
}

static __always_inline void listener_leave(const struct latch_flow *flow)
{
	struct listener_step step = {.flow = *flow};

	bpf_loop(LISTENER_TRIES, leave_once, &step, 0);
}

#endif
