/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a reported CHILD_SA to the params that its two SAs are bound to. Sources
 * of truth: the SA table for what the kernel has, the reports for the peer.
 */
#ifndef LATCHD_SA_BINDING_H
#define LATCHD_SA_BINDING_H

#include "latchd/sa/binding_parts.h"

/*
 * Breaks the latches in conflict, then binds each of the two SAs that the kernel
 * has. 0; -ENOENT when the inbound SA is not (yet) in the kernel; another
 * negative errno: the SAs keep their states and stay closed to latched flows.
 * -EDQUOT: the peer has its share. -EINPROGRESS: binding_bind_waiting() follows.
 */
int binding_bind(const struct binding *binding, struct child_sa *child);

/*
 * Binds all CHILD_SAs that the feed's snapshot has reported, with one scan of all
 * latches, which also heals latches. 0 or the first error.
 */
int binding_bind_snapshot(const struct binding *binding, const struct feed *feed);

/*
 * Writes missing marks, breaks every latch in conflict, and heals those without. Then binds those
 * CHILD_SAs with a bind that failed or has to wait. 0 or the error of the marks and latches.
 * ret_left: it has to be called again.
 */
int binding_bind_waiting(const struct binding *binding, bool *ret_left);

/* Writes the CHILD_SA's state (bound, dying, orphan) and params to its SAs. 0 or a negative errno.
 */
int binding_set_state(const struct binding *binding, struct child_sa *child);

/* Is one of the two SAs in the kernel? Updates both ends' in_kernel and serial. */
bool binding_check_kernel(const struct binding *binding, struct child_sa *child);

/* Is the kernel's SA under this key the end's SA? Also true when the kernel has none. */
bool binding_is_current(const struct binding *binding, const struct child_sa_end *end);
/* Has the kernel a later SA under this key than the end's SA? */
bool binding_is_replaced(const struct binding *binding, const struct child_sa_end *end);

/*
 * A CHILD_SA with the inbound SA new_in is reported with the outbound SA of
 * another one, current. Does the outbound SA move to the new CHILD_SA? The peer
 * chooses the outbound SPI and may choose one that was used before. A key manager
 * reports the SPIs of an ended CHILD_SA for a while. The kernel installs a pair
 * together, the inbound SA first: the later pair has the outbound SA, and no pair
 * has an outbound SA that is older than the pair.
 */
bool binding_outbound_moves(const struct binding *binding, const struct child_sa_end *current,
			    const struct latch_sa_key *new_in);

/*
 * CHILD_SAs have begun or ceased to count: updates the contested marks of all that overlap. 0 or a
 * negative errno: some SAs have their former mark, and binding_mark_unmarked() tries again.
 */
int binding_update_contested(const struct binding *binding);
int binding_mark_unmarked(const struct binding *binding);

#endif
