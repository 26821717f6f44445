/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs of a peer that is decided to be unproven. The gates wait for the owner of a pending SA, and
 * there is none to wait for: LATCH_SA_UNPROVEN says so. They treat such an SA as one that has been
 * pending for longer than pending-limit. A report with a proven peer binds it as any other.
 */
#ifndef LATCHD_SA_UNBOUND_UNPROVEN_SAS_H
#define LATCHD_SA_UNBOUND_UNPROVEN_SAS_H

#include "latchd/sa/unbound/refused_sas.h"

/*
 * A key manager reports the CHILD_SA, and its peer is decided. An SPI may be another SA's by now,
 * as at sa_ends.c. A list decides over an inbound SA from before it began. The peer chooses the
 * outbound SPI: it may be that of another peer's SA, which the other peer's report has yet to name.
 * So only the outbound SA that was installed right behind the inbound one is decided with it.
 */
void unproven_sas_decide(struct refused_sas *refused, const struct kernel_maps *maps,
			 const struct refused_child *child);
/*
 * The kernel has a new SA, which is no known CHILD_SA's: the responder of a rekey installs the
 * outbound SA after the report.
 */
void unproven_sas_new(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key);

#endif
