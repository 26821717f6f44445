/* SPDX-License-Identifier: BSD-2-Clause */
/* Real BPF maps of our types, small and empty, without any program. They need root. */
#ifndef LATCHD_TESTS_KERNEL_MAPS_H
#define LATCHD_TESTS_KERNEL_MAPS_H

#include "latchd/maps/kernel_maps.h"

#define FAKE_LATCHES_MAX 256
#define FAKE_SAS_MAX	 256
#define FAKE_EVENTS_SIZE 65536 /* bytes */

/*
 * 0, or a negative errno (-EPERM without the privileges: skip the test). control
 * is -1. params and identities have their true capacity.
 */
int fake_kernel_maps_make(struct kernel_maps *maps);
void fake_kernel_maps_close(struct kernel_maps *maps);

#endif
