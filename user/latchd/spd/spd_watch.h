/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-12 and R-2.3-13: a latch is BROKEN while an edit of the SPD
 * leaves its flow without protection as latched. The gates drop at once the packets that
 * an edit lets through. The break reports the edit and ends the connection.
 *
 * Policies of a socket (IP_XFRM_POLICY) are not in the SPD, and manually keyed SAs often
 * have no policy for packets in. A direction therefore counts only after the SPD was seen
 * to protect it (latch.spd).
 */
#ifndef LATCHD_SPD_SPD_WATCH_H
#define LATCHD_SPD_SPD_WATCH_H

#include <stdint.h>

#include "latchd/spd/spd_state.h"

/* Checks every latch soon: the SPD may have been edited while no latchd ran. */
void spd_watch_start(struct spd_watch *watch, struct loop *loop);
void spd_watch_stop(struct spd_watch *watch);

/* Schedules a check. An edit in a namespace without a latch of a known peer and without a policy
 * entry of latchd causes none. */
void spd_watch_edited(struct spd_watch *watch, uint64_t netns);
/* word: the word in the event. */
void spd_watch_latch_created(struct spd_watch *watch, const struct latch_flow *flow,
			     union latch_word word);
/* A latch may have been created. */
void spd_watch_events_lost(struct spd_watch *watch);
/* The mode has changed: enforcement may add policy entries that audit mode did not add. */
void spd_watch_recheck(struct spd_watch *watch);
void spd_watch_latch_closed(struct spd_watch *watch, const struct latch_flow *flow);

#endif
