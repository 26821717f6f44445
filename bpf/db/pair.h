/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What latchd has decided over the flows of two addresses, where SAs of two peers are contested. */
#ifndef LATCH_BPF_DB_PAIR_H
#define LATCH_BPF_DB_PAIR_H

#include "db/maps.h"

#define PAIR_UNDECIDED -1

/*
 * LATCH_PAIR_ALONE: the kernel can use SAs of these params only, between the two addresses of the
 * flow. LATCH_PAIR_CONTESTED: others can carry one of these flows. PAIR_UNDECIDED: latchd has not
 * decided. A global function: the key needs a frame of its own.
 */
int pair_decision(const struct latch_flow *flow, int params);

#endif
