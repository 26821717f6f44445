/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The controller's only way to change latches and SAs: each call runs the
 * program latch_control, which takes the step through the state machine.
 * All return a value of enum latch_control_result, or a negative errno when
 * the program could not be run. AGAIN is retried inside and never returned: who loses
 * the race too often gets -EAGAIN.
 */
#ifndef LATCHD_MAPS_LATCH_CONTROL_H
#define LATCHD_MAPS_LATCH_CONTROL_H

#include <stdbool.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/* ret_word: the latch after the operation; may be NULL. */
int latch_break(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		__u8 reasons, union latch_word *ret_word);
int latch_heal(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
	       __u8 reasons, union latch_word *ret_word);
int latch_close(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id);

/* ESTABLISHED or BROKEN: only such a latch can break or heal. */
static inline bool latch_is_live(const struct latch *latch)
{
	return latch->word.state == LATCH_STATE_ESTABLISHED ||
	       latch->word.state == LATCH_STATE_BROKEN;
}

/* spd: a set of enum latch_spd, kept with the latch from now on. */
int latch_spd_seen(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		   __u8 spd);
/* Deletes it if its owner is still the one that was seen. */
int latch_reap(const struct kernel_maps *maps, const struct latch_flow *flow,
	       const struct latch *seen);

/*
 * So many sockets listen at flow, a LISTENER's, if its word is still as seen (all 0:
 * there was no latch): NOT_FOUND if not. With none the latch goes.
 */
int latch_listen(const struct kernel_maps *maps, const struct latch_flow *flow,
		 union latch_word seen, __u16 sockets);

/* Only if serial still names the SA there. contested: see LATCH_SA_CONTESTED. */
int sa_set(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial,
	   enum latch_sa_state state, __u16 params, int contested);
/* Adds an SA that a dump found as PENDING; UNCHANGED when it is known. foreign: see
 * LATCH_SA_FOREIGN. */
int sa_adopt(const struct kernel_maps *maps, const struct latch_sa_key *key,
	     const struct latch_sa *sa, bool foreign);
int sa_forget(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial);
/* Unless a new path has used the mark since it was seen. */
int association_forget(const struct kernel_maps *maps, const struct latch_flow *key,
		       const struct latch_association *seen);

/* The other half of the rules, with so many in it: see rules.h. 0 or a negative errno. */
int latch_rules_switch(const struct kernel_maps *maps, __u32 count);
/* Which rule decides over a flow that was opened so; NONE = by nobody knows whom. */
int latch_rule_of(const struct kernel_maps *maps, const struct latch_flow *flow,
		  enum latch_direction direction, __u16 *ret_rule);

#endif
