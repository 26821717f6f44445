/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The latch state machine of RFC 5660 section 2.2, as one pure function. The BPF programs, the
 * unit tests and the model check compile this file. It uses no libc, makes no kernel calls and
 * uses only the memory of its arguments.
 *
 *   NONE --listen--> LISTENER --release, close--> CLOSED
 *   NONE --acquire--> LARVAL --create--> ESTABLISHED
 *   NONE --create--> ESTABLISHED, or BROKEN if conflicts exist at creation
 *   ESTABLISHED --break--> BROKEN --heal (no reason left)--> ESTABLISHED
 *   LARVAL, ESTABLISHED, BROKEN --release, close--> CLOSED, which has no way out
 */
#ifndef LATCH_FSM_H
#define LATCH_FSM_H

#include "latch_abi.h"

enum latch_trigger {
	LATCH_TRIGGER_LISTEN,  /* CREATE_LISTENER_LATCH */
	LATCH_TRIGGER_ACQUIRE, /* the flow passes while its SAs are still being negotiated */
	LATCH_TRIGGER_CREATE,  /* connect, or spawned by a listener; reasons = conflicts at creation
				*/
	LATCH_TRIGGER_BREAK,
	LATCH_TRIGGER_HEAL,
	LATCH_TRIGGER_RELEASE, /* the owner releases the latch */
	LATCH_TRIGGER_CLOSE,   /* by the administrator, or after loss of the identity table */
};

enum latch_outcome {
	LATCH_OUTCOME_MOVED,   /* *next differs from now */
	LATCH_OUTCOME_KEPT,    /* allowed, without any change */
	LATCH_OUTCOME_REFUSED, /* no such transition; *next equals now */
};

/* State and reasons of a latch. The caller keeps generation and params. */
struct latch_position {
	enum latch_state state;
	__u8 reasons;
};

static inline enum latch_outcome latch_fsm_move(struct latch_position *next, enum latch_state state,
						__u8 reasons)
{
	if (next->state == state && next->reasons == reasons)
		return LATCH_OUTCOME_KEPT;
	next->state = state;
	next->reasons = reasons;
	return LATCH_OUTCOME_MOVED;
}

static inline enum latch_state latch_fsm_live(__u8 reasons)
{
	return reasons ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED;
}

static inline enum latch_outcome latch_fsm_from_none(enum latch_trigger trigger, __u8 reasons,
						     struct latch_position *next)
{
	switch (trigger) {
	case LATCH_TRIGGER_LISTEN:
		return latch_fsm_move(next, LATCH_STATE_LISTENER, 0);
	case LATCH_TRIGGER_ACQUIRE:
		return latch_fsm_move(next, LATCH_STATE_LARVAL, 0);
	case LATCH_TRIGGER_CREATE:
		return latch_fsm_move(next, latch_fsm_live(reasons), reasons);
	case LATCH_TRIGGER_BREAK:
	case LATCH_TRIGGER_HEAL:
	case LATCH_TRIGGER_RELEASE:
	case LATCH_TRIGGER_CLOSE:
		break;
	}
	return LATCH_OUTCOME_REFUSED;
}

static inline enum latch_outcome latch_fsm_from_listener(enum latch_trigger trigger,
							 struct latch_position *next)
{
	switch (trigger) {
	case LATCH_TRIGGER_RELEASE:
	case LATCH_TRIGGER_CLOSE:
		return latch_fsm_move(next, LATCH_STATE_CLOSED, 0);
	case LATCH_TRIGGER_LISTEN:
	case LATCH_TRIGGER_ACQUIRE:
	case LATCH_TRIGGER_CREATE:
	case LATCH_TRIGGER_BREAK:
	case LATCH_TRIGGER_HEAL:
		break;
	}
	return LATCH_OUTCOME_REFUSED;
}

static inline enum latch_outcome latch_fsm_from_larval(enum latch_trigger trigger, __u8 reasons,
						       struct latch_position *next)
{
	switch (trigger) {
	case LATCH_TRIGGER_CREATE:
		return latch_fsm_move(next, latch_fsm_live(reasons), reasons);
	case LATCH_TRIGGER_RELEASE:
	case LATCH_TRIGGER_CLOSE:
		return latch_fsm_move(next, LATCH_STATE_CLOSED, 0);
	case LATCH_TRIGGER_LISTEN:
	case LATCH_TRIGGER_ACQUIRE:
	case LATCH_TRIGGER_BREAK:
	case LATCH_TRIGGER_HEAL:
		break;
	}
	return LATCH_OUTCOME_REFUSED;
}

static inline enum latch_outcome latch_fsm_from_live(enum latch_trigger trigger, __u8 reasons,
						     struct latch_position *next)
{
	__u8 left;

	switch (trigger) {
	case LATCH_TRIGGER_BREAK:
		if (!reasons)
			return LATCH_OUTCOME_REFUSED;
		left = next->reasons | reasons;
		return latch_fsm_move(next, LATCH_STATE_BROKEN, left);
	case LATCH_TRIGGER_HEAL:
		/* A latch of a dead or rebooted peer never heals: RFC 5660 section 2. */
		left = next->reasons & (__u8) ~(reasons & ~LATCH_REASONS_STICKY);
		return latch_fsm_move(next, latch_fsm_live(left), left);
	case LATCH_TRIGGER_RELEASE:
	case LATCH_TRIGGER_CLOSE:
		return latch_fsm_move(next, LATCH_STATE_CLOSED, next->reasons);
	case LATCH_TRIGGER_LISTEN:
	case LATCH_TRIGGER_ACQUIRE:
	case LATCH_TRIGGER_CREATE:
		break;
	}
	return LATCH_OUTCOME_REFUSED;
}

static inline enum latch_outcome latch_fsm_from_closed(enum latch_trigger trigger)
{
	switch (trigger) {
	case LATCH_TRIGGER_RELEASE:
	case LATCH_TRIGGER_CLOSE:
		return LATCH_OUTCOME_KEPT;
	case LATCH_TRIGGER_LISTEN:
	case LATCH_TRIGGER_ACQUIRE:
	case LATCH_TRIGGER_CREATE:
	case LATCH_TRIGGER_BREAK:
	case LATCH_TRIGGER_HEAL:
		break;
	}
	return LATCH_OUTCOME_REFUSED;
}

/* reasons applies to CREATE, BREAK and HEAL only, and must lie within LATCH_REASONS_ALL. */
static inline enum latch_outcome latch_fsm_step(struct latch_position now,
						enum latch_trigger trigger, __u8 reasons,
						struct latch_position *next)
{
	*next = now;
	if (reasons & ~LATCH_REASONS_ALL)
		return LATCH_OUTCOME_REFUSED;
	switch (now.state) {
	case LATCH_STATE_NONE:
		return latch_fsm_from_none(trigger, reasons, next);
	case LATCH_STATE_LISTENER:
		return latch_fsm_from_listener(trigger, next);
	case LATCH_STATE_LARVAL:
		return latch_fsm_from_larval(trigger, reasons, next);
	case LATCH_STATE_ESTABLISHED:
	case LATCH_STATE_BROKEN:
		return latch_fsm_from_live(trigger, reasons, next);
	case LATCH_STATE_CLOSED:
		return latch_fsm_from_closed(trigger);
	}
	return LATCH_OUTCOME_REFUSED;
}

#endif
