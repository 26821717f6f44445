/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way for latchd to change latches and SAs. Each call runs the program latch_control,
 * which takes the step through the state machine of include/. Unless stated otherwise a call
 * returns a value of enum latch_control_result, or a negative errno if the program did not run. A
 * call retries after AGAIN and never returns it. After too many lost races it returns -EAGAIN.
 * NOT_FOUND: the flow has no latch with this id, or the key no SA with this serial.
 */
#ifndef LATCHD_MAPS_LATCH_CONTROL_H
#define LATCHD_MAPS_LATCH_CONTROL_H

#include <stdbool.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/* reasons: a set of enum latch_reason. ret_word: the word after the step; may be NULL. */
int latch_break(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		__u8 reasons, union latch_word *ret_word);
int latch_heal(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
	       __u8 reasons, union latch_word *ret_word);
int latch_close(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id);
/*
 * Before the socket of the latch is ended for an administrator: the socket then answers that an
 * administrator has ended it. closing: false takes that back.
 */
int latch_closing(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		  bool closing);
/*
 * Breaks the latch for good, and clears its params, since its peer is no longer known. A mark
 * stays a mark.
 */
int latch_forget_peer(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id);

/* True: the latch is the mark of a flow that only audit mode has let begin. A mark has no peer, and
 * never heals. */
static inline bool latch_is_mark(const struct latch *latch)
{
	return latch->word.reasons & LATCH_REASON_REFUSED;
}

/*
 * True: ESTABLISHED or BROKEN, with a peer. Only such a latch can break or heal. Another reason for
 * a mark would come from SAs of other flows.
 */
static inline bool latch_is_live(const struct latch *latch)
{
	return (latch->word.state == LATCH_STATE_ESTABLISHED ||
		latch->word.state == LATCH_STATE_BROKEN) &&
	       !latch_is_mark(latch);
}

/* Adds spd, a set of enum latch_spd, to the latch. */
int latch_spd_seen(const struct kernel_maps *maps, const struct latch_flow *flow, __u64 id,
		   __u8 spd);
/* Deletes the latch if its owner is still that of seen. */
int latch_reap(const struct kernel_maps *maps, const struct latch_flow *flow,
	       const struct latch *seen);

/*
 * Sets the number of sockets of the LISTENER at flow, if its word still equals seen (all 0:
 * there was no latch). NOT_FOUND: the word has changed. 0 sockets delete the latch.
 */
int latch_listen(const struct kernel_maps *maps, const struct latch_flow *flow,
		 union latch_word seen, __u16 sockets);

/*
 * Sets state and params if serial still names this SA, and ends LATCH_SA_UNPROVEN. contested: see
 * LATCH_SA_CONTESTED.
 */
int sa_set(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial,
	   enum latch_sa_state state, __u16 params, int contested);
/* Sets LATCH_SA_UNPROVEN if serial still names this SA. REFUSED: it is not PENDING, or ambiguous.
 */
int sa_set_unproven(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial);
/*
 * Adds an SA of a dump, as PENDING. UNCHANGED: the SA is known. foreign: see LATCH_SA_FOREIGN.
 * OVER_SHARE: there are too many SAs between its addresses.
 */
int sa_adopt(const struct kernel_maps *maps, const struct latch_sa_key *key,
	     const struct latch_sa *sa, bool foreign);
/* Deletes the SA from the table. */
int sa_forget(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial);
/* The same, and counts the SA as refused: the share of its peer is full. */
int sa_refuse(const struct kernel_maps *maps, const struct latch_sa_key *key, __u32 serial);
/* Deletes the mark unless a new path has used it since seen. */
int association_forget(const struct kernel_maps *maps, const struct latch_flow *key,
		       const struct latch_association *seen);

/*
 * Puts the other half of the rules in force, with count rules (enforce/rules.h). 0 or a negative
 * errno.
 */
int latch_rules_switch(const struct kernel_maps *maps, __u32 count);
/*
 * Switches to audit mode, or to enforcement (latch_mode.h). A switch to audit mode empties the
 * audit table. 1: switched, 0: it was so already, or a negative errno.
 */
int latch_mode_switch(const struct kernel_maps *maps, bool audit);
/*
 * Finds the rule that decides over the flow. direction: in which it was opened; NONE =
 * unknown. *ret_rule: an index, or LATCH_RULE_NONE.
 */
int latch_rule_of(const struct kernel_maps *maps, const struct latch_flow *flow,
		  enum latch_direction direction, __u16 *ret_rule);

#endif
