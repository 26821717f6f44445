/* SPDX-License-Identifier: BSD-2-Clause */
/* Real BPF maps with the types of bpf/db/maps.h, small and empty, without programs. Need root. */
#ifndef LATCHD_TESTS_KERNEL_MAPS_H
#define LATCHD_TESTS_KERNEL_MAPS_H

#include "latchd/maps/kernel_maps.h"

#define FAKE_LATCHES_MAX 256
#define FAKE_SAS_MAX	 256
#define FAKE_EVENTS_SIZE 65536 /* bytes */

/*
 * 0 or a negative errno (-EPERM: skip the test). The programs' descriptors are -1. The maps params
 * and identities have the capacity of the product.
 */
int fake_kernel_maps_make(struct kernel_maps *maps);
void fake_kernel_maps_close(struct kernel_maps *maps);

#endif
