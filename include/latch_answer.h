/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rule by which a socket answers for its latch (latch_sockopt.h), and by which "latchctl whois"
 * shows it. A latch that was not enforced all its life names no peer. Shared by the program and
 * latchd.
 */
#ifndef LATCH_ANSWER_H
#define LATCH_ANSWER_H

#include "latch_abi.h"
#include "latch_mode.h"
#include "latch_sockopt.h"

_Static_assert((int)LATCH_APP_SA_CONFLICT == LATCH_REASON_SA_CONFLICT &&
		       (int)LATCH_APP_SPD_CHANGE == LATCH_REASON_SPD_CHANGE &&
		       (int)LATCH_APP_PEER_DEAD == LATCH_REASON_PEER_DEAD &&
		       (int)LATCH_APP_PEER_REBOOTED == LATCH_REASON_PEER_REBOOTED &&
		       (int)LATCH_APP_ADMIN == LATCH_REASON_ADMIN &&
		       (int)LATCH_APP_REFUSED == LATCH_REASON_REFUSED,
	       "applications get the reasons as they are");

struct latch_answer {
	enum latch_app_state state;
	enum latch_why why;
	__u8 reasons;
	__u8 audited;  /* was in audit mode at some time */
	__u8 unproven; /* LATCH_UNPROVEN_EARLIER */
};

/*
 * In audit mode packets of other peers pass, so received data proves no peer. mode and since are
 * of the settings, mode read first: control_mode() writes since before mode. A latch created
 * between the two writes is younger than since, and has stored the mode at its creation.
 */
static inline int latch_was_audited(__u64 created, __u8 unproven, __u8 rule_flags, __u32 mode,
				    __u64 since)
{
	if (rule_flags & LATCH_RULE_WISHED)
		return unproven & LATCH_UNPROVEN_AUDITED;
	return latch_mode_is_audit(mode) || created < since || unproven & LATCH_UNPROVEN_AUDITED;
}

static inline void latch_answer_set(struct latch_answer *ret, enum latch_app_state state,
				    enum latch_why why)
{
	ret->state = state;
	ret->why = why;
}

/* The why of the first reason in the set. */
static inline enum latch_why latch_why_broken(__u8 reasons)
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

static inline void latch_answer_established(struct latch_answer *ret)
{
	if (ret->audited)
		latch_answer_set(ret, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
	else if (ret->unproven)
		latch_answer_set(ret, LATCH_APP_UNPROVEN, LATCH_WHY_EARLIER_DATA);
	else
		latch_answer_set(ret, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
}

/* The answer for a latch that a full socket owns. audited and unproven of ret are set. */
static inline void latch_answer_of(union latch_word word, struct latch_answer *ret)
{
	ret->reasons = word.reasons;
	switch (word.state) {
	case LATCH_STATE_LARVAL:
		latch_answer_set(ret, LATCH_APP_LARVAL, LATCH_WHY_UNATTRIBUTED);
		return;
	case LATCH_STATE_ESTABLISHED:
		latch_answer_established(ret);
		return;
	case LATCH_STATE_BROKEN:
		latch_answer_set(ret, LATCH_APP_BROKEN, latch_why_broken(word.reasons));
		return;
	case LATCH_STATE_LISTENER:
		latch_answer_set(ret, LATCH_APP_LISTENER, LATCH_WHY_NONE);
		return;
	case LATCH_STATE_CLOSED:
	case LATCH_STATE_NONE:
		break;
	}
	latch_answer_set(ret, LATCH_APP_CLOSED, LATCH_WHY_REMOVED);
}

/* True: the socket answers with the texts of the latch. */
static inline int latch_answer_names_peer(const struct latch_answer *answer)
{
	return !answer->audited && !answer->unproven &&
	       (answer->state == LATCH_APP_ESTABLISHED || answer->state == LATCH_APP_BROKEN);
}

#endif
