/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An outbound SA that is in the table anew while the inbound SA of its CHILD_SA is the old one. Its
 * key manager has migrated or replaced it alone, or its entry was lost. The peer chooses the
 * outbound SPI, so it may also be the SA of another peer at the same address. A list decides: it
 * must have begun after latchd saw the SA, and name no other CHILD_SA with it.
 */
#ifndef LATCHD_SA_BINDING_RENEWALS_H
#define LATCHD_SA_BINDING_RENEWALS_H

#include "latchd/sa/binding/binding_parts.h"

/* The table has another SA under the key than this end. */
void renewals_note(const struct binding *binding, struct child_sa_end *end);
void renewals_list_begin(struct child_sas *child_sas, const struct feed *feed);
/* The list has a report of these two: is the outbound SA another CHILD_SA's so far? */
void renewals_reported(const struct child_sas *child_sas, const struct latch_sa_key *in,
		       const struct latch_sa_key *out);
/* Has a key manager reported this inbound SA, of a peer that is not proven, with an outbound one?
 */
struct renewals_refused {
	bool (*is_reported)(void *context, const struct latch_sa_key *in, uint32_t serial);
	void *context;
};

/*
 * The SAs noted before the list began are those of their CHILD_SAs from now on. An older
 * unattributed SA may be the inbound one of the same pair, which is installed first. Then the SA
 * stays unattributed. That older SA comes from the same host, with the same proposal. No key
 * manager has reported it with an outbound SA of its own. An SA that was found by a dump never is,
 * nor is any of a CHILD_SA with its outbound SA gone. After an error none is. The CHILD_SAs have to
 * be bound.
 */
void renewals_list_end(const struct binding *binding, const struct feed *feed,
		       const struct renewals_refused *refused);

#endif
