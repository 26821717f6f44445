/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No event reports that an SCTP association ends or loses an address, so the paths are
 * read from the kernel (sock_diag). Latches without a path are released, then marks
 * (latch_abi.h) of associations without a latch.
 */
#ifndef LATCHD_LATCH_SCTP_REAPER_H
#define LATCHD_LATCH_SCTP_REAPER_H

#include "latchd/maps/kernel_maps.h"

/* One round over all SCTP latches and marks. 0 or a negative errno. */
int sctp_reaper_round(const struct kernel_maps *maps);

#endif
