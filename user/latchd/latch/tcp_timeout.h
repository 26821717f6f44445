/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes TCP itself give up the connections of broken latches, by the program timeout_broken. */
#ifndef LATCHD_LATCH_TCP_TIMEOUT_H
#define LATCHD_LATCH_TCP_TIMEOUT_H

#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

typedef void (*timed_out_fn)(void *context, const struct latch_timed_out *ended);

/*
 * Ends all sockets of a network namespace with a latch that is BROKEN, with disposition
 * reset and LATCH_RULE_TIMEOUT. Calls the function once for each socket. The application
 * gets ETIMEDOUT within seconds, or at TCP's next retransmission. 0 or a negative errno.
 */
int timeout_broken(const struct kernel_maps *maps, uint64_t netns, timed_out_fn on_timed_out,
		   void *context);

#endif
