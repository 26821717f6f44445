/* SPDX-License-Identifier: BSD-2-Clause */
/* The wishes of applications for their sockets, which only the gates keep. */
#ifndef LATCHD_MAPS_WISHES_H
#define LATCHD_MAPS_WISHES_H

#include "latchd/maps/kernel_maps.h"

/* 1: a socket of this host has a wish. 0: none has. Or a negative errno. */
int wishes_exist(const struct kernel_maps *maps);

#endif
