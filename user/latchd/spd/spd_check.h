/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One check of the latches of a network namespace against its SPD. Decides whether an edit breaks a
 * latch, its policy is only missing, or entries of latchd protect the flow.
 */
#ifndef LATCHD_SPD_SPD_CHECK_H
#define LATCHD_SPD_SPD_CHECK_H

#include "latchd/spd/spd_state.h"

/*
 * Checks all latches of the namespace, or only those of watch->created, and breaks, heals,
 * holds or releases them. 0 or the first negative errno; the other latches are checked all
 * the same.
 */
int spd_check(struct spd_watch *watch, uint64_t netns, bool all);

#endif
