/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-12 and R-2.3-13: a latch whose flow the SPD no longer
 * protects as latched is BROKEN until the edit is reverted. The gates drop at once the
 * packets that an edit lets through; the break reports the edit and ends the connection.
 *
 * Policies of a socket (IP_XFRM_POLICY) are not in the SPD, and manually keyed SAs often
 * have no policy for packets in. A direction therefore counts only after the SPD was seen
 * to protect it (latch.spd).
 */
#ifndef LATCHD_SPD_SPD_WATCH_H
#define LATCHD_SPD_SPD_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"
#include "common/loop.h"
#include "latchd/spd/policy.h"
#include "latchd/spd/spd_grace.h"

/* Of an edit: key managers replace policies in several steps. */
#define SPD_SETTLE_MS 200
/* An unprotected flow is checked again: a dump may fall between two of these steps. */
#define SPD_PASSING_MS 200
/* Without its policy: a key manager that starts again installs it anew. */
#define SPD_ABSENT_MS 5000
/* Changes that no event reports are found then. */
#define SPD_PERIOD_MS 10000

#define SPD_EDITED_MAX	256
#define SPD_CREATED_MAX 256
#define SPD_HELD_MAX	256

struct spd_watch {
	const struct kernel_maps *maps; /* the caller sets these three */
	const struct identities *identities;
	const struct news_bus *news; /* LATCH_BROKEN, _HEALED, _HELD, _RELEASED */

	struct loop_timer check, period;
	uint64_t edited[SPD_EDITED_MAX]; /* namespaces to check */
	size_t edited_count;
	bool all_edited;
	uint64_t edited_ms;			    /* time of the last reported edit */
	struct latch_flow created[SPD_CREATED_MAX]; /* new latches to check */
	size_t created_count;
	uint64_t held[SPD_HELD_MAX]; /* namespaces with policy entries of latchd */
	size_t held_count;
	struct spd_suspects suspects;
	unsigned int round;
	bool failed; /* some check of this round */
	bool warned; /* of a failure that still persists */
};

/* Checks every latch soon: the SPD may have been edited while no latchd ran. */
void spd_watch_start(struct spd_watch *watch, struct loop *loop);
void spd_watch_stop(struct spd_watch *watch);

void spd_watch_edited(struct spd_watch *watch, uint64_t netns);
void spd_watch_latch_created(struct spd_watch *watch, const struct latch_flow *flow);
void spd_watch_latch_closed(struct spd_watch *watch, const struct latch_flow *flow);

#endif
