/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A grace period for latches of flows that the SPD does not protect at the moment. Key
 * managers replace policies in several steps, so a latch is broken only after its grace
 * period.
 */
#ifndef LATCHD_SPD_SPD_GRACE_H
#define LATCHD_SPD_SPD_GRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"

struct spd_grace_entry;

/* Zeroed before first use. */
struct spd_grace {
	struct spd_grace_entry *by_id; /* the latches in their grace period */
	unsigned int round;
};

/*
 * Notes in this round that the latch is unprotected. True: it has been unprotected for time_ms.
 * Also true if there is no memory for a grace period.
 */
bool spd_grace_is_over(struct spd_grace *grace, uint64_t netns, uint64_t latch_id,
		       unsigned int time_ms);

/*
 * Ends the round, and the grace period of every latch that the round found protected. was_checked:
 * did the round check all latches of the namespace? Latches of other namespaces keep their grace
 * periods.
 */
void spd_grace_end_round(struct spd_grace *grace,
			 bool (*was_checked)(const void *context, uint64_t netns),
			 const void *context);

typedef void (*spd_grace_visit_fn)(void *context, uint64_t netns, unsigned int left_ms);

/* Visits the namespace of each latch in its grace period; a namespace may come more than once. */
void spd_grace_visit(const struct spd_grace *grace, spd_grace_visit_fn visit, void *context);

void spd_grace_release(struct spd_grace *grace);

#endif
