/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes over the pinned tables of an earlier latchd, and checks them while latchd runs. A damaged
 * identity table closes all latches but LISTENER ones, or in audit mode takes their peers. The
 * repair also empties the audit table.
 */
#ifndef LATCHD_LATCH_RECOVERY_H
#define LATCHD_LATCH_RECOVERY_H

#include <stdbool.h>

#include "latchd/identity/identities.h"

/*
 * Loads the identity table and changes nothing, since the start may still fail. 0 or a negative
 * errno. *ret_damaged: the copy is empty, and recovery_repair_identities() must follow before any
 * other use.
 */
int recovery_load_identities(const struct kernel_maps *maps, struct identities **ret,
			     bool *ret_damaged);

/*
 * Repairs a damaged table. The peers of its latches are unknown, so every latch is closed and its
 * connection reset. Every SA becomes PENDING again, and the table is emptied (RFC 5660 section
 * 2.6, R-2.6-1). 0 or a negative errno.
 */
int recovery_repair_identities(const struct kernel_maps *maps, struct identities *identities);

#define RECOVERY_DAMAGED 1

/*
 * The same repair for the loaded table, if another process has damaged it meanwhile. 0: the table
 * is intact. RECOVERY_DAMAGED: the table is now empty, and the caller binds the SAs anew. A
 * negative errno: call it again soon; closed latches stay closed. *unfinished, false at first, is
 * then true: the table may look intact, but no longer fits the SAs.
 */
int recovery_check_identities(const struct kernel_maps *maps, struct identities *identities,
			      bool *unfinished);

#endif
