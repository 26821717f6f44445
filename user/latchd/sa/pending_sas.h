/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs in the kernel of which nobody has said yet whose they are. Their key managers
 * are asked again and again, ever more seldom.
 */
#ifndef LATCHD_SA_PENDING_SAS_H
#define LATCHD_SA_PENDING_SAS_H

#include <stdint.h>

#include "latchd/sa/binding.h"
#include "latchd/sa/key_managers.h"
#include "common/loop.h"

struct pending_sas {
	const struct binding *binding;
	const struct key_managers *key_managers;
	struct loop_timer timer;
	unsigned int wait_ms;
	uint32_t alarmed_serial; /* of the newest SA that was called nobody's */
	uint64_t refused;    /* LATCH_COUNTER_SAS_FULL when all that found no room were taken in */
	uint64_t over_quota; /* ... and LATCH_COUNTER_SAS_OVER_QUOTA */
};

/* Keeps the pointers. */
void pending_sas_init(struct pending_sas *pending_sas, struct loop *loop,
		      const struct binding *binding, const struct key_managers *key_managers);
void pending_sas_stop(struct pending_sas *pending_sas);

/* The kernel has a new SA: binds it if somebody has spoken of it, else asks soon. */
void pending_sas_new(struct pending_sas *pending_sas, const struct latch_sa_key *key);
/* There may be some that no event will tell of. */
void pending_sas_check_soon(struct pending_sas *pending_sas);

#endif
