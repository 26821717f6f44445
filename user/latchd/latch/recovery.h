/* SPDX-License-Identifier: BSD-2-Clause */
/* The pinned tables of an earlier latchd, taken over or given up. */
#ifndef LATCHD_LATCH_RECOVERY_H
#define LATCHD_LATCH_RECOVERY_H

#include "latchd/identity/identities.h"

/*
 * Loads the identity table. If it is damaged nobody can say any more who a latch
 * was for: every latch is closed, its connection reset, every SA is nobody's
 * again (RFC 5660 section 2.6, R-2.6-1). 0 or a negative errno.
 */
int recovery_load_identities(const struct kernel_maps *maps, struct identities **ret);

#endif
