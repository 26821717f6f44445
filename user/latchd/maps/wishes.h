/* SPDX-License-Identifier: BSD-2-Clause */
/* The wishes of applications for their sockets, which only the gates keep. */
#ifndef LATCHD_MAPS_WISHES_H
#define LATCHD_MAPS_WISHES_H

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/*
 * Visits each socket of this host that has a wish. 0; the visitor's first other result; or a
 * negative errno.
 */
typedef int (*wish_fn)(void *context, const struct latch_wish_place *place);
int wishes_walk(const struct kernel_maps *maps, wish_fn visit, void *context);

#endif
