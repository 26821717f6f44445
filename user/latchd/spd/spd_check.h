/* SPDX-License-Identifier: BSD-2-Clause */
/* One look at the SPD of a namespace, and what follows from it for its latches. */
#ifndef LATCHD_SPD_SPD_CHECK_H
#define LATCHD_SPD_SPD_CHECK_H

#include "latchd/spd/spd_watch.h"

/*
 * At all its latches, or only at those that were born. 0 or the first negative errno;
 * what one latch meets with does not keep it from looking at the others.
 */
int spd_check(struct spd_watch *watch, uint64_t netns, bool all);

/* Whether the namespace may have entries of ours. */
void spd_set_held(struct spd_watch *watch, uint64_t netns, bool held);

#endif
