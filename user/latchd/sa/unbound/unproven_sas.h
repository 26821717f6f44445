/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs of a peer that is decided to be unproven. The gates wait for the owner of a pending SA.
 * LATCH_SA_UNPROVEN marks an SA that gets no owner: the gates treat it as pending for longer than
 * pending-limit. A report with a proven peer binds it as any other SA.
 */
#ifndef LATCHD_SA_UNBOUND_UNPROVEN_SAS_H
#define LATCHD_SA_UNBOUND_UNPROVEN_SAS_H

#include "latchd/sa/unbound/refused_sas.h"

/*
 * A key manager reports the CHILD_SA, and its peer is decided to be unproven. Marks the inbound SA
 * if an event reports it, or if it is older than the list. Marks the outbound SA only if it was
 * installed directly after the inbound one. The peer chooses the outbound SPI, which may be that
 * of another peer's SA.
 */
void unproven_sas_decide(struct refused_sas *refused, const struct kernel_maps *maps,
			 const struct refused_child *child);
/*
 * The kernel has a new SA of no known CHILD_SA. Marks it if it is the outbound SA of a marked
 * pair: the responder of a rekey installs the outbound SA after the report.
 */
void unproven_sas_new(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key);

#endif
