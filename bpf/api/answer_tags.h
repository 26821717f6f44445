/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tags of the peer: names of the sets that it is of, each with a line feed behind it. */
#ifndef LATCH_BPF_API_ANSWER_TAGS_H
#define LATCH_BPF_API_ANSWER_TAGS_H

#include "api/errors.h"
#include "api/state.h"
#include "db/peer_sets.h"

struct tags_copy {
	__u8 *to;	 /* the caller's buffer */
	const void *end; /* of the buffer */
	const struct latch_peer_sets *sets;
	__u32 mask; /* sets of the peer */
	__u32 used;
	int err;
};

static __always_inline int put_byte(struct tags_copy *copy, __u8 byte)
{
	__u32 at = copy->used;
	__u8 *to = copy->to;

	if (at >= LATCH_PEER_SETS_MAX * LATCH_TAG_MAX)
		return -ERANGE;
	to += at;
	if ((void *)(to + 1) > copy->end)
		return -ERANGE;
	*to = byte;
	copy->used = at + 1;
	return 0;
}

/* One byte of all names. Non-zero ends the copy. */
static long copy_tag(__u32 i, struct tags_copy *copy)
{
	__u32 set = i / LATCH_TAG_MAX, at = i % LATCH_TAG_MAX, before = at - 1;
	const char *names;

	if (set >= LATCH_PEER_SETS_MAX)
		return 1;
	if (!(copy->mask >> set & 1))
		return 0;
	names = copy->sets->names[set];
	/* The verifier of Linux 6.1 does not conclude from at != 0 that at - 1 has a bound. */
	asm volatile("" : "+r"(before));
	if (names[at])
		copy->err = put_byte(copy, names[at]);
	else if (at && names[before % LATCH_TAG_MAX])
		copy->err = put_byte(copy, '\n');
	return copy->err != 0;
}

/* In a frame of its own: option_get() has few bytes left. */
static OWN_FRAME int put_tags(__u8 *to, const void *end, __u32 peer, __u32 stamp)
{
	struct latch_peer_facts *facts = peer_facts_find(peer);
	struct tags_copy copy = {.to = to, .end = end, .sets = peer_sets_find(stamp)};

	if (!facts || !copy.sets)
		return -ENODATA;
	copy.mask = sets_of(facts, stamp);
	bpf_loop(LATCH_PEER_SETS_MAX * LATCH_TAG_MAX, copy_tag, &copy, 0);
	/* The kernel hands out no answer of no byte. */
	if (!copy.used && !copy.err)
		copy.err = put_byte(&copy, '\n');
	return copy.err ? copy.err : (int)copy.used;
}

/* The half in force is written again only after a change of the stamp. */
static __always_inline int tags_of(__u8 *to, const void *end, __u32 peer)
{
	struct latch_settings *s = settings_get();
	__u32 stamp;
	int length;

	if (!s)
		return -ENODATA;
	stamp = READ_ONCE(s->rule_stamp);
	full_barrier();
	length = put_tags(to, end, peer, stamp);
	full_barrier();
	return READ_ONCE(s->rule_stamp) == stamp ? length : -EAGAIN;
}

static __always_inline int answer_tags(__u8 *to, const void *end, const struct subject *s)
{
	struct latch_answer status = {};
	struct latch_params *p;
	int length;

	status_of(s, &status);
	if (s->kind != SUBJECT_LATCH || !s->latch || !latch_answer_names_peer(&status))
		return -ENODATA;
	p = params_find(s->word.params);
	if (!p)
		return -ENODATA;
	length = tags_of(to, end, p->peer_id);
	return latch_still_has(&s->flow, s->latch, s->id, s->word.params) ? length : -ENODATA;
}

#endif
