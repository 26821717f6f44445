/* SPDX-License-Identifier: BSD-2-Clause */
/* Lets TCP itself give up the sockets of broken latches, by the program timeout_broken. */
#ifndef LATCHD_LATCH_TCP_TIMEOUT_H
#define LATCHD_LATCH_TCP_TIMEOUT_H

#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

typedef void (*timed_out_fn)(void *context, const struct latch_timed_out *told);

/*
 * All such sockets of a network namespace: broken, to be reset, LATCH_RULE_TIMEOUT.
 * Each is told once. Within seconds, or when TCP repeats next, its owner sees
 * ETIMEDOUT. 0 or a negative errno.
 */
int timeout_broken(const struct kernel_maps *maps, uint64_t netns, timed_out_fn tell,
		   void *context);

#endif
