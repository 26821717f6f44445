/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two SAs of a CHILD_SA in the kernel's table: what is there, and what latchd writes to them.
 * Only -ENOENT of a look-up shows that the kernel has no such SA. After any other error that is
 * unknown, and nothing is concluded from it.
 */
#ifndef LATCHD_SA_BINDING_SA_ENDS_H
#define LATCHD_SA_BINDING_SA_ENDS_H

#include "latchd/sa/binding/binding_parts.h"

enum latch_sa_state sa_ends_wanted_state(const struct child_sa *child);

/* Writes the CHILD_SA's state (bound, dying, orphan), params and mark. 0 or a negative errno. */
int sa_ends_write(const struct binding *binding, struct child_sa *child);

/*
 * The CHILD_SA is about to be forgotten although the kernel may have one of its SAs. That SA keeps
 * its params and becomes ORPHAN: it conflicts with no latch and starts none. 0 or a negative errno.
 */
int sa_ends_unbind(const struct binding *binding, const struct child_sa *child);

/*
 * Is one of the two SAs in the kernel? 1, 0, or a negative errno when that is unknown. Updates both
 * ends' in_kernel and serial.
 */
int sa_ends_check(const struct binding *binding, struct child_sa *child);

/* Is the kernel's SA under this key the end's SA? Also true when the kernel has none. */
bool sa_ends_is_current(const struct binding *binding, const struct child_sa_end *end);
/* Has the kernel a later SA under this key than the end's SA? */
bool sa_ends_is_replaced(const struct binding *binding, const struct child_sa_end *end);

/* Serials come from a counter that may wrap. */
bool sa_ends_is_later(uint32_t serial, uint32_t than);

/*
 * A CHILD_SA with the inbound SA new_in is reported with the outbound SA of
 * another one, current. Does the outbound SA move to the new CHILD_SA? The peer
 * chooses the outbound SPI and may choose one that was used before. A key manager
 * reports the SPIs of an ended CHILD_SA for a while. The kernel installs a pair
 * together, the inbound SA first. The later pair has the outbound SA. No pair
 * has an outbound SA that is older than the pair. 1, 0, or a negative errno.
 */
int sa_ends_outbound_moves(const struct binding *binding, const struct child_sa_end *current,
			   const struct latch_sa_key *new_in);

#endif
