/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCTP tells nobody when an association ends or loses an address, so that the
 * kernel is asked which paths there are. Latches of paths that are no more are
 * released, and marks (latch_abi.h) of associations that have no latch left.
 */
#ifndef LATCHD_LATCH_SCTP_REAPER_H
#define LATCHD_LATCH_SCTP_REAPER_H

#include "latchd/maps/kernel_maps.h"

/* One round over all of them. 0 or a negative errno. */
int sctp_reaper_round(const struct kernel_maps *maps);

#endif
