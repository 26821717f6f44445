/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs in the kernel of which nobody has said yet whose they are. Their key managers
 * are asked again and again, ever more seldom.
 */
#ifndef LATCHD_QUARANTINE_H
#define LATCHD_QUARANTINE_H

#include <stdint.h>

#include "latchd/sa/binding.h"
#include "latchd/sa/key_managers.h"
#include "common/loop.h"

struct quarantine {
	const struct binding *binding;
	const struct keepers *keepers;
	struct loop_timer timer;
	unsigned int wait_ms;
	uint32_t alarmed_serial; /* of the newest SA that was called nobody's */
	uint64_t refused; /* LATCH_COUNTER_SAS_FULL when all that found no room were taken in */
	uint64_t over_quota; /* ... and LATCH_COUNTER_SAS_OVER_QUOTA */
};

/* Keeps the pointers. */
void quarantine_init(struct quarantine *quarantine, struct loop *loop,
		     const struct binding *binding, const struct keepers *keepers);
void quarantine_stop(struct quarantine *quarantine);

/* The kernel has a new SA: binds it if somebody has spoken of it, else asks soon. */
void quarantine_new(struct quarantine *quarantine, const struct latch_sa_key *key);
/* There may be some that no event will tell of. */
void quarantine_look_soon(struct quarantine *quarantine);

#endif
