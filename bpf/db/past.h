/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The copy of a former latch that a socket keeps: struct socket_past. A latch that had no peer and
 * did not break is not worth the memory.
 */
#ifndef LATCH_BPF_DB_PAST_H
#define LATCH_BPF_DB_PAST_H

#include "db/latch_db.h"
#include "latch_answer.h"

/* True: [api] is off, so sockets keep no copies. */
static __always_inline int answers_are_off(void)
{
	struct latch_settings *s = settings_get();

	return !s || !READ_ONCE(s->answers);
}

/* True: no descriptor is left that an application could ask. A connection that is not accepted yet
 * is not dead. */
static __always_inline int is_dead(struct sock *sk)
{
	__u32 bit = bpf_core_enum_value(enum sock_flags, SOCK_DEAD);

	return BPF_CORE_READ(sk, __sk_common.skc_flags) >> bit & 1;
}

/* True: TCP has received the peer's FIN, and so all of its data. */
static __always_inline int has_fin_of_peer(struct sock *sk)
{
	__u32 bit = bpf_core_enum_value(enum sock_flags, SOCK_DONE);

	return BPF_CORE_READ(sk, __sk_common.skc_flags) >> bit & 1;
}

static __always_inline int was_audited(__u64 created, __u8 unproven, __u8 rule_flags)
{
	struct latch_settings *s = settings_get();
	__u32 mode;

	if (!s)
		return 1;
	mode = READ_ONCE(s->mode);
	return latch_was_audited(created, unproven, rule_flags, mode, READ_ONCE(s->mode_since));
}

static __always_inline struct latch_params *params_find(__u16 index)
{
	__u32 key = index;

	return key ? bpf_map_lookup_elem(&params, &key) : NULL;
}

static __always_inline struct latch_identity *identity_find(__u32 index)
{
	return bpf_map_lookup_elem(&identities, &index);
}

/*
 * True: the latch still exists with these params, so indices that were read from it were not
 * reused.
 */
static OWN_FRAME int latch_still_has(const struct latch_flow *flow, const struct latch *latch,
				     __u64 id, __u16 params)
{
	struct latch_flow key = *flow;

	return bpf_map_lookup_elem(&latches, &key) == latch && READ_ONCE(latch->id) == id &&
	       READ_WORD(latch->word).params == params;
}

/* A copy of a latch without a peer that did not break is not kept, to save memory. */
static __always_inline int tells_nothing(const struct socket_past *past)
{
	return !past->params_known && !past->reasons;
}

/* An end in order stays one, also if an administrator closed the latch at the same time. */
static __always_inline void past_note_close(struct socket_past *past, const struct latch *latch)
{
	if (past->aborted && READ_ONCE(latch->rule_flags) & LATCH_RULE_CLOSING &&
	    READ_ONCE(latch->id) == past->id)
		past->reasons |= LATCH_REASON_ADMIN;
}

/*
 * Copies the latch, of latch_read(), before it is released. A global function: the verifier checks
 * it once. Returns 0.
 */
int past_fill(struct socket_past *past, const struct latch_flow *flow, struct latch *latch,
	      __u64 id);

#endif
