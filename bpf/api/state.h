/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Translates the state of a latch for applications: enum latch_app_state and enum latch_why. For a
 * latch that has ended, a later break in TIME_WAIT counts, too.
 */
#ifndef LATCH_BPF_API_STATE_H
#define LATCH_BPF_API_STATE_H

#include "api/subject.h"
#include "latch_answer.h"

static __always_inline void status_of_latch(const struct subject *s, struct latch_answer *ret)
{
	ret->audited = was_audited(s->created, s->unproven, s->rule_flags);
	ret->unproven = s->unproven & LATCH_UNPROVEN_EARLIER;
	latch_answer_of(s->word, ret);
}

/* A latch in TIME_WAIT outlives its socket, and may still break. */
static __always_inline __u8 reasons_since(const struct socket_past *past)
{
	__u64 id;
	struct latch *latch = latch_at(&past->flow, &id);
	union latch_word word;

	if (!latch || id != past->id)
		return 0;
	word = READ_WORD(latch->word);
	return READ_ONCE(latch->id) == id ? word.reasons : 0;
}

static __always_inline void status_of_past(const struct socket_past *past, struct latch_answer *ret)
{
	ret->audited = past->audited;
	ret->unproven = past->unproven;
	ret->reasons = past->reasons | reasons_since(past);
	if (ret->reasons)
		latch_answer_set(ret, LATCH_APP_BROKEN, latch_why_broken(ret->reasons));
	else
		latch_answer_set(ret, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
}

/*
 * True: the latch still exists, so its members were read from one latch. A LARVAL latch may
 * have settled meanwhile: its params were not used.
 */
static __always_inline int is_still_there(const struct subject *s)
{
	struct latch *latch = s->latch;
	__u16 params = s->word.params;

	if (!latch)
		return 0;
	if (s->word.state == LATCH_STATE_LARVAL)
		params = READ_WORD(latch->word).params;
	return latch_still_has(&s->flow, latch, s->id, params);
}

static __always_inline void status_of(const struct subject *s, struct latch_answer *ret)
{
	switch ((enum subject_kind)s->kind) {
	case SUBJECT_NOTHING:
		latch_answer_set(ret, LATCH_APP_NOT_LATCHED, s->why);
		return;
	case SUBJECT_LISTENER:
		latch_answer_set(ret, LATCH_APP_LISTENER, LATCH_WHY_NONE);
		return;
	case SUBJECT_LATCH:
		status_of_latch(s, ret);
		return;
	case SUBJECT_PAST:
		if (s->past)
			status_of_past(s->past, ret);
		return;
	case SUBJECT_LOST:
		latch_answer_set(ret, LATCH_APP_CLOSED, s->why);
		return;
	}
}

#endif
