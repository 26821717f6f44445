/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new outbound SA in the table while the inbound SA of its CHILD_SA is the old one. Its key
 * manager has migrated or replaced only the outbound SA, or its entry was lost. The peer chooses
 * the outbound SPI, so the SA may also be another peer's at the same address. A list decides. It
 * must have begun after latchd saw the SA, and name no other CHILD_SA with the SA.
 */
#ifndef LATCHD_SA_BINDING_RENEWALS_H
#define LATCHD_SA_BINDING_RENEWALS_H

#include "latchd/sa/binding/binding_parts.h"

/* The table has another SA under the key of this end. */
void renewals_note(const struct binding *binding, struct child_sa_end *end);
void renewals_list_begin(struct child_sas *child_sas, const struct feed *feed);
/* The list reports this pair. If the outbound SA belonged to another CHILD_SA so far, that one does
 * not get it. */
void renewals_reported(const struct child_sas *child_sas, const struct latch_sa_key *in,
		       const struct latch_sa_key *out);
/* is_reported: a key manager has reported this inbound SA, of an unproven peer, with an outbound
 * SA. */
struct renewals_refused {
	bool (*is_reported)(void *context, const struct latch_sa_key *in, uint32_t serial);
	void *context;
};

/*
 * End of a list. Gives each outbound SA that was noted before the list began to its CHILD_SA, which
 * then has to be bound. The SA stays unattributed in these cases:
 *   - An older unattributed SA comes from the same host, with the same proposal, and no key manager
 *     has reported an outbound SA for it. It may be the inbound SA of the same pair, which is
 *     installed first.
 *   - A dump has found the SA, or an unattributed SA from that host: their order is unknown.
 *   - The key manager has deleted the outbound SA of the CHILD_SA.
 *   - The walk over the SAs fails: then no SA is given.
 */
void renewals_list_end(const struct binding *binding, const struct feed *feed,
		       const struct renewals_refused *refused);

#endif
