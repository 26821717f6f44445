/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs that were in the kernel before latchd's programs were: taken into the table, as pending. */
#ifndef LATCHD_SA_SA_ADOPTION_H
#define LATCHD_SA_SA_ADOPTION_H

#include <stdint.h>

#include "latchd/maps/kernel_maps.h"

/*
 * Adds what a namespace's kernel has and the table has not, and forgets what
 * was added so and went before the programs could see it. 0 or a negative errno.
 */
int sa_adoption_run(const struct kernel_maps *maps, uint64_t netns);

#endif
