/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * This host's key in the SAs with these params, for the channel binding of applications. A fact
 * beside the params: the administrator may renew the key, and a latch goes on.
 */
#ifndef LATCHD_MAPS_OWN_KEY_H
#define LATCHD_MAPS_OWN_KEY_H

#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/*
 * Call it before an SA gets the params: an entry of former params of this index must not stay. key:
 * LATCH_KEY_SIZE bytes, NULL: not known. 0 or a negative errno.
 */
int own_key_set(const struct kernel_maps *maps, uint16_t params, const uint8_t *key);

#endif
