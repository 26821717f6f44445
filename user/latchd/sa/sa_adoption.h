/* SPDX-License-Identifier: BSD-2-Clause */
/* Adds SAs that the kernel had before latchd's programs to the SA table, as pending. */
#ifndef LATCHD_SA_SA_ADOPTION_H
#define LATCHD_SA_SA_ADOPTION_H

#include <stdint.h>

#include "latchd/maps/kernel_maps.h"

/*
 * Adds the SAs of a namespace (netns: cookie) that the kernel has and the table
 * has not. Deletes adopted SAs that left the kernel before the programs could
 * see it. 0 or a negative errno; -ENOSPC: the table is full. Source of truth: a
 * dump of the kernel's SAs.
 */
int sa_adoption_run(const struct kernel_maps *maps, uint64_t netns);

#endif
