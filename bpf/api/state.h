/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the state of a latch is to an application: enum latch_app_state and enum latch_why. */
#ifndef LATCH_BPF_API_STATE_H
#define LATCH_BPF_API_STATE_H

#include "api/subject.h"

_Static_assert((int)LATCH_APP_SA_CONFLICT == LATCH_REASON_SA_CONFLICT &&
		       (int)LATCH_APP_SPD_CHANGE == LATCH_REASON_SPD_CHANGE &&
		       (int)LATCH_APP_PEER_DEAD == LATCH_REASON_PEER_DEAD &&
		       (int)LATCH_APP_PEER_REBOOTED == LATCH_REASON_PEER_REBOOTED &&
		       (int)LATCH_APP_ADMIN == LATCH_REASON_ADMIN &&
		       (int)LATCH_APP_REFUSED == LATCH_REASON_REFUSED,
	       "applications get the reasons as they are");

struct status {
	enum latch_app_state state;
	enum latch_why why;
	__u8 reasons;
	__u8 audited;
	__u8 unproven;
};

static __always_inline enum latch_why why_broken(__u8 reasons)
{
	if (reasons & LATCH_REASON_SA_CONFLICT)
		return LATCH_WHY_SA_CONFLICT;
	if (reasons & LATCH_REASON_SPD_CHANGE)
		return LATCH_WHY_SPD_CHANGE;
	if (reasons & LATCH_REASON_PEER_DEAD)
		return LATCH_WHY_PEER_DEAD;
	if (reasons & LATCH_REASON_PEER_REBOOTED)
		return LATCH_WHY_PEER_REBOOTED;
	return reasons & LATCH_REASON_ADMIN ? LATCH_WHY_ADMIN : LATCH_WHY_REFUSED_LATER;
}

static __always_inline void set_status(struct status *ret, enum latch_app_state state,
				       enum latch_why why)
{
	ret->state = state;
	ret->why = why;
}

static __always_inline void status_of_latch(const struct subject *s, struct status *ret)
{
	ret->audited = was_audited(s->created);
	ret->unproven = s->unproven;
	ret->reasons = s->word.reasons;
	switch (s->word.state) {
	case LATCH_STATE_LARVAL:
		set_status(ret, LATCH_APP_LARVAL, LATCH_WHY_UNATTRIBUTED);
		return;
	case LATCH_STATE_ESTABLISHED:
		if (ret->audited)
			set_status(ret, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
		else if (ret->unproven)
			set_status(ret, LATCH_APP_UNPROVEN, LATCH_WHY_EARLIER_DATA);
		else
			set_status(ret, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
		return;
	case LATCH_STATE_BROKEN:
		set_status(ret, LATCH_APP_BROKEN, why_broken(ret->reasons));
		return;
	case LATCH_STATE_CLOSED:
	case LATCH_STATE_LISTENER:
	case LATCH_STATE_NONE:
		break;
	}
	set_status(ret, LATCH_APP_CLOSED, LATCH_WHY_REMOVED);
}

/* A latch in TIME_WAIT outlives its socket, and may break still. */
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

static __always_inline void status_of_past(const struct socket_past *past, struct status *ret)
{
	ret->audited = past->audited;
	ret->unproven = past->unproven;
	ret->reasons = past->reasons | reasons_since(past);
	if (ret->reasons)
		set_status(ret, LATCH_APP_BROKEN, why_broken(ret->reasons));
	else
		set_status(ret, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
}

static __always_inline void status_of(const struct subject *s, struct status *ret)
{
	switch ((enum subject_kind)s->kind) {
	case SUBJECT_NOTHING:
		set_status(ret, LATCH_APP_NOT_LATCHED, s->why);
		return;
	case SUBJECT_LISTENER:
		set_status(ret, LATCH_APP_LISTENER, LATCH_WHY_NONE);
		return;
	case SUBJECT_LATCH:
		status_of_latch(s, ret);
		return;
	case SUBJECT_PAST:
		if (s->past)
			status_of_past(s->past, ret);
		return;
	case SUBJECT_LOST:
		set_status(ret, LATCH_APP_CLOSED, s->why);
		return;
	}
}

#endif
