/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A flow's first packet: whether it may pass, and what latch it begins. */
#ifndef LATCH_BPF_BIRTH_H
#define LATCH_BPF_BIRTH_H

#include "verdict.h"

static __always_inline enum latch_direction direction_of(const struct passage *p)
{
	return p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
}

static __always_inline __u64 owner_of(const struct passage *p)
{
	return p->egress ? p->socket_cookie : 0;
}

/*
 * Its SA cannot start a latch, and nobody asked for one: it goes on unlatched,
 * but only until an SA comes that can. Also when there is no room for the latch.
 */
static __always_inline int pass_unattributed(struct passage *p, __u16 params,
					     enum latch_counter which)
{
	count(which);
	latch_acquire(&p->flow, params, direction_of(p), owner_of(p));
	return GATE_PASS;
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
	if (!sa)
		return pass_unattributed(p, 0, LATCH_COUNTER_UNLATCHED_OTHER);
	word.raw = *(volatile __u64 *)&sa->word.raw;
	if (word.state == LATCH_SA_PENDING && !is_beyond_limit(sa))
		return drop(LATCH_DROP_SA_PENDING, p, NULL);
	if (word.state == LATCH_SA_PENDING)
		return pass_unattributed(p, 0, LATCH_COUNTER_UNLATCHED_PENDING);
	if (word.state != LATCH_SA_BOUND || word.flags & LATCH_SA_AMBIGUOUS)
		return pass_unattributed(p, word.params, LATCH_COUNTER_UNLATCHED_OTHER);
	if (word.flags & LATCH_SA_CONTESTED)
		return drop(LATCH_DROP_CONFLICT, p, NULL);
	if (latch_create(&p->flow, word.params, direction_of(p), owner_of(p)))
		return drop(LATCH_DROP_LATCHES_FULL, p, NULL);
	return GATE_PASS;
}

#endif
