/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes over the pinned tables of an earlier latchd, and checks them while latchd runs. */
#ifndef LATCHD_LATCH_RECOVERY_H
#define LATCHD_LATCH_RECOVERY_H

#include <stdbool.h>

#include "latchd/identity/identities.h"

/*
 * Loads the identity table and changes nothing, for a start that may fail still. 0 or a negative
 * errno. *ret_damaged: the copy is empty, and recovery_repair_identities() must follow before any
 * other use.
 */
int recovery_load_identities(const struct kernel_maps *maps, struct identities **ret,
			     bool *ret_damaged);

/*
 * The peers of a damaged table's latches are unknown. Every latch is closed and its connection
 * reset. Every SA becomes PENDING again, and the table is emptied (RFC 5660 section 2.6, R-2.6-1).
 * 0 or a negative errno.
 */
int recovery_repair_identities(const struct kernel_maps *maps, struct identities *identities);

#define RECOVERY_DAMAGED 1

/*
 * The same repair for the loaded table, if another process has damaged it meanwhile. 0 if it is
 * intact. RECOVERY_DAMAGED: it is empty now, and the caller binds the SAs anew. A negative errno:
 * to be called again soon; latches that are closed already stay closed. *unfinished, false at
 * first, then says so: the table may look intact by now, but it is not the one of the SAs.
 */
int recovery_check_identities(const struct kernel_maps *maps, struct identities *identities,
			      bool *unfinished);

#endif
