/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Adds SAs that the kernel had before latchd's programs to the SA table, as pending. It also adds
 * SAs that the programs missed, those without a report only as far as their share has room.
 */
#ifndef LATCHD_SA_UNBOUND_SA_ADOPTION_H
#define LATCHD_SA_UNBOUND_SA_ADOPTION_H

#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "latchd/sa/child/child_sas.h"

/*
 * Adds the SAs of a namespace (netns: cookie) that the kernel has and the table
 * has not. Deletes adopted SAs that left the kernel before the programs could
 * see it. 0, 1 or a negative errno; -ENOSPC: the table is full. Source of truth: a
 * dump of the kernel's SAs.
 *
 * reported: SAs that it does not have are added up to others_max only, and the result is 1 if more
 * are missing. NULL: all are added.
 */
int sa_adoption_run(const struct kernel_maps *maps, uint64_t netns,
		    const struct child_sas *reported, size_t others_max);

#endif
