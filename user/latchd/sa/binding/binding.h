/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Binds the two SAs of a reported CHILD_SA to params, after the latches in conflict are broken. Of
 * several errors it returns one that a retry may mend. Sources of truth: the SA table for the
 * kernel's SAs, the reports for the peer.
 */
#ifndef LATCHD_SA_BINDING_BINDING_H
#define LATCHD_SA_BINDING_BINDING_H

#include "latchd/sa/binding/binding_parts.h"

/*
 * Breaks the latches in conflict, then binds each of the two SAs that the kernel
 * has. 0; -ENOENT when the inbound SA is not (yet) in the kernel; another
 * negative errno. Then the SAs keep their states and stay closed to latched flows.
 * -EDQUOT: the peer has its share. -EINPROGRESS: binding_bind_waiting() follows.
 */
int binding_bind(const struct binding *binding, struct child_sa *child);

/*
 * Binds all CHILD_SAs that the feed's snapshot has reported, with one scan of all
 * latches, which also heals latches. 0 or the first error. -EINPROGRESS as above, for a list that
 * is not the first one.
 */
int binding_bind_snapshot(const struct binding *binding, const struct feed *feed, bool is_first);

/*
 * Writes missing marks, breaks every latch in conflict, and heals latches without a conflict.
 * Then binds the CHILD_SAs with a bind that failed or has to wait. 0 or the error of the marks
 * and latches. ret_left: another call is needed.
 */
int binding_bind_waiting(const struct binding *binding, bool *ret_left);

/*
 * Writes the CHILD_SA's state (bound, dying, orphan) and params to its SAs. 0 or a negative errno.
 * -EAGAIN: the CHILD_SA begins to count now, and its SAs are unchanged.
 */
int binding_set_state(const struct binding *binding, struct child_sa *child);

#endif
