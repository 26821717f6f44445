/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The answers that are texts: whole, or not at all. Decides which peer or local identity a text
 * names. None for a latch that is LARVAL, was not enforced all its life, or may have data from
 * before.
 */
#ifndef LATCH_BPF_API_ANSWER_TEXT_H
#define LATCH_BPF_API_ANSWER_TEXT_H

#include "api/errors.h"
#include "api/state.h"

struct text_copy {
	__u8 *to;	 /* the caller's buffer */
	const void *end; /* of the buffer */
	const char *text;
	__u32 size;  /* of text, whether it has a NUL or not */
	int outcome; /* the length, or a negative errno */
};

/* Non-zero ends the copy. */
static long copy_byte(__u32 i, struct text_copy *copy)
{
	__u8 *to = copy->to;
	const char *text = copy->text;

	if (i >= LATCH_ID_TEXT_MAX || i >= copy->size || !text[i])
		return 1;
	to += i;
	if ((void *)(to + 1) > copy->end) {
		copy->outcome = -ERANGE;
		return 1;
	}
	*to = text[i];
	copy->outcome = (int)i + 1;
	return 0;
}

/* Copies by a callback, which the verifier checks once. An unrolled copy needs 100,000 steps of the
 * verifier. */
static __always_inline int put_text(__u8 *to, const void *end, const char *text, __u32 size)
{
	struct text_copy copy = {
		.to = to, .end = end, .text = text, .size = size, .outcome = -ENODATA};

	bpf_loop(LATCH_ID_TEXT_MAX, copy_byte, &copy, 0);
	return copy.outcome;
}

static __always_inline int put_identity(__u8 *to, const void *end, int option,
					const struct latch_params *p)
{
	struct latch_identity *identity;

	identity = identity_find(option == LATCH_OPT_LOCAL_ID ? p->local_id : p->peer_id);
	if (!identity)
		return -ENODATA;
	if (option == LATCH_OPT_CONNECTION)
		return put_text(to, end, identity->config, sizeof(identity->config));
	return put_text(to, end, identity->id, sizeof(identity->id));
}

static __always_inline int answer_from_latch(__u8 *to, const void *end, int option,
					     const struct subject *s)
{
	struct latch_params *p = params_find(s->word.params);
	const struct latch *latch = s->latch;
	int length;

	if (!p || !latch ||
	    (s->word.state != LATCH_STATE_ESTABLISHED && s->word.state != LATCH_STATE_BROKEN))
		return -ENODATA;
	length = put_identity(to, end, option, p);
	return latch_still_has(&s->flow, latch, s->id, s->word.params) ? length : -ENODATA;
}

static __always_inline int answer_from_past(__u8 *to, const void *end, int option,
					    const struct socket_past *past)
{
	if (!past || !past->params_known)
		return -ENODATA;
	if (option == LATCH_OPT_CONNECTION)
		return put_text(to, end, past->connection, sizeof(past->connection));
	return put_text(to, end, option == LATCH_OPT_LOCAL_ID ? past->local : past->peer,
			sizeof(past->peer));
}

static __always_inline int answer_text(__u8 *to, const void *end, int option,
				       const struct subject *s)
{
	struct latch_answer status = {};

	status_of(s, &status);
	if (status.audited || status.unproven)
		return -ENODATA;
	if (s->kind == SUBJECT_LATCH)
		return answer_from_latch(to, end, option, s);
	if (s->kind == SUBJECT_PAST)
		return answer_from_past(to, end, option, s->past);
	return -ENODATA;
}

#endif
