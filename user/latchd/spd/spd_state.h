/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state that spd_watch.h, which schedules checks, shares with spd_check.h, which makes them;
 * and the times of both.
 */
#ifndef LATCHD_SPD_SPD_STATE_H
#define LATCHD_SPD_SPD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/loop.h"
#include "latch_abi.h"
#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"
#include "latchd/spd/spd_grace.h"

/* Delay of a check after an edit: key managers replace policies in several steps. */
#define SPD_SETTLE_MS 200
/* An unprotected flow is checked again: a dump may fall between two of these steps. */
#define SPD_PASSING_MS 200
/* Changes that no event reports are found then. */
#define SPD_PERIOD_MS 10000

#define SPD_EDITED_MAX	256
#define SPD_CREATED_MAX 256
#define SPD_HELD_MAX	256

struct spd_namespaces {
	uint64_t *cookies;
	size_t count, capacity;
};

struct spd_watch {
	const struct kernel_maps *maps; /* the caller sets these four */
	const struct identities *identities;
	const struct news_bus *news; /* LATCH_BROKEN, _HEALED, _HELD, _RELEASED */
	/* Grace period of a flow without its policy: a key manager that starts again reinstalls the
	 * policy. */
	unsigned int grace_ms;

	struct loop_timer check, period, grace_end;
	uint64_t edited[SPD_EDITED_MAX]; /* namespaces to check */
	size_t edited_count;
	bool all_edited;	     /* edits in more than SPD_EDITED_MAX namespaces */
	bool periodic;		     /* the next round checks all namespaces */
	uint64_t edited_ms;	     /* time of the last reported edit */
	struct spd_namespaces known; /* namespaces with latches to check, by the last round */
	bool knows;		     /* the last round found all such namespaces */
	struct latch_flow created[SPD_CREATED_MAX]; /* new latches to check */
	size_t created_count;
	uint64_t held[SPD_HELD_MAX]; /* namespaces with policy entries of latchd */
	size_t held_count;
	struct spd_grace grace;
	unsigned int round;
	bool failed; /* some check of this round */
	bool warned; /* of a failure that still persists */
};

/* held: the namespace may have policy entries of latchd (policy_entry.h). */
void spd_state_set_held(struct spd_watch *watch, uint64_t netns, bool held);

#endif
