/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two SAs of a CHILD_SA in the SA table: look-ups, and latchd's writes. Decides whether an
 * outbound SA belongs to the pair: the peer chooses its SPI. Only -ENOENT of a look-up shows that
 * the kernel has no such SA: after another error latchd concludes nothing.
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
 * An earlier latchd has bound the SAs, and the report does not match the inbound SA: the CHILD_SA
 * has no params, so it does not count in conflicts. Its SAs become ORPHAN, as at sa_ends_unbind().
 * The peer chooses the outbound SPI: an outbound SA with other params than the inbound SA is
 * another's. 0 or a negative errno.
 */
int sa_ends_disown(const struct binding *binding, const struct child_sa *child);

/*
 * Is one of the two SAs in the kernel? 1, 0, or a negative errno if that is unknown. Updates
 * in_kernel and serial of both ends.
 */
int sa_ends_check(const struct binding *binding, struct child_sa *child);

/* Is the kernel's SA under this key the end's SA? Also true when the kernel has none. */
bool sa_ends_is_current(const struct binding *binding, const struct child_sa_end *end);
/* Has the kernel a later SA under this key than the end's SA? */
bool sa_ends_is_replaced(const struct binding *binding, const struct child_sa_end *end);

/* Serials come from a counter that may wrap. */
bool sa_ends_is_later(uint32_t serial, uint32_t than);

/*
 * A CHILD_SA with the inbound SA new_in is reported with current, the outbound SA
 * of another CHILD_SA. Does the outbound SA move to the new CHILD_SA? The peer
 * chooses the outbound SPI and may reuse one. A key manager reports the SPIs of
 * an ended CHILD_SA for a while. A pair is installed together, the inbound SA
 * first. So the outbound SA belongs to the later pair, unless it is older than
 * that pair's inbound SA. 1, 0, or a negative errno.
 */
int sa_ends_outbound_moves(const struct binding *binding, const struct child_sa_end *current,
			   const struct latch_sa_key *new_in);

#endif
