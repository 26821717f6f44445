/* SPDX-License-Identifier: BSD-2-Clause */
/* The wishes of applications for their sockets, which only the gates keep. */
#ifndef LATCHD_MAPS_WISHES_H
#define LATCHD_MAPS_WISHES_H

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/* 1: a socket of this host has a wish there, or may have one; 0: none has. Or a negative errno. */
int wishes_find(const struct kernel_maps *maps, const struct latch_wish_search *search);

#endif
