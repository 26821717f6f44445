/* SPDX-License-Identifier: BSD-2-Clause */
/* From a child that a key manager told to the params that its two SAs are bound to. */
#ifndef LATCHD_SA_BINDING_H
#define LATCHD_SA_BINDING_H

#include "latchd/sa/child_sas.h"
#include "latchd/sa/conflict.h"
#include "latchd/identity/identities.h"

struct binding {
	struct conflict_view view;
	struct children *children;
	struct identities *identities;
};

/*
 * Breaks what is in conflict, then binds whichever of the two SAs is in the
 * kernel. 0; -ENOENT when the inbound one is not there (yet); another negative
 * errno: then the SAs stay as they are, closed to latched flows.
 */
int binding_bind(const struct binding *binding, struct child *child);

/* The same for all that the feed's snapshot has named: one look at all latches, which heals, too.
 */
int binding_bind_seen(const struct binding *binding, const struct feed *feed);

/* Writes the child's state (bound, dying, orphan) and params to its SAs. 0 or a negative errno. */
int binding_set_state(const struct binding *binding, struct child *child);

/*
 * By which class was the peer of this inbound SA authenticated, as it is known already:
 * to this latchd, or in the pinned tables from an earlier one? Into said, when the
 * names there are the same; else false.
 */
bool binding_find_class(const struct binding *binding, const struct feed *feed,
			const struct latch_sa_key *in, struct feed_child *said);

/* Is one of its SAs still in the kernel? */
bool binding_look(const struct binding *binding, struct child *child);

/* Is the SA under this key the child's? True as well when there is none. */
bool binding_owns(const struct binding *binding, const struct child_end *end);
/* Is there another one than the child's now, which has come to use its key again? */
bool binding_is_replaced(const struct binding *binding, const struct child_end *end);

/*
 * A child with this inbound SA is said to have the owner's outbound SA. The peer
 * chooses that SPI, perhaps one that we have used before, and a key manager names
 * those of a child that is over for a while. A pair is installed together, the
 * inbound one first: so the later pair has it, but no pair has what was there before it.
 */
bool binding_yields(const struct binding *binding, const struct child_end *owner,
		    const struct latch_sa_key *in);

/* After a child came to count or ceased to: which of the others are contested now? */
void binding_renew_contested(const struct binding *binding, const struct child *changed);

#endif
