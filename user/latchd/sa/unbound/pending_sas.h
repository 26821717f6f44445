/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unattributed SAs: the kernel has them, and no key manager has reported them yet. Requests lists
 * of the key managers, with a back-off from 50 ms to 5 s. Decides which of them take a place in the
 * share of refused_sas.h: those without a peer for a minute.
 */
#ifndef LATCHD_SA_UNBOUND_PENDING_SAS_H
#define LATCHD_SA_UNBOUND_PENDING_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/sa/binding/binding.h"
#include "latchd/sa/unbound/key_managers.h"
#include "latchd/sa/unbound/refused_sas.h"
#include "common/log_limit.h"
#include "common/loop.h"

struct pending_sas {
	const struct binding *binding;
	const struct key_managers *key_managers;
	struct refused_sas *refused_sas;
	struct loop_timer timer;
	struct walk_pace walks; /* over all SAs */
	unsigned int wait_ms;
	uint32_t warned_serial; /* of the newest SA that was logged as unattributed */
	uint64_t refused;	/* LATCH_COUNTER_SAS_FULL when all refused SAs were adopted last */
	uint64_t over_quota;	/* ... and LATCH_COUNTER_SAS_OVER_QUOTA */
	bool missing;		/* SAs that a key manager has installed are not in the table */
	uint64_t adopted_ms;	/* when they were searched for last; 0 = never */
	struct log_limit log;
};

/* Keeps the pointers. pending_sas_stop() before their owners end. */
void pending_sas_init(struct pending_sas *pending_sas, struct loop *loop,
		      const struct binding *binding, const struct key_managers *key_managers,
		      struct refused_sas *refused_sas);
void pending_sas_stop(struct pending_sas *pending_sas);

/*
 * The kernel has a new SA: binds it if a key manager has reported it, else checks soon. Does
 * nothing in a namespace that no key manager serves: any local user can make SAs there. Their check
 * begins when a key manager has sent its first list.
 */
void pending_sas_new(struct pending_sas *pending_sas, const struct latch_sa_key *key);
/* The kernel has deleted an SA: deletes its entry if the programs could not. */
void pending_sas_gone(struct pending_sas *pending_sas, const struct latch_sa_key *key);
/*
 * Checks all pending SAs within 50 ms, or when the running back-off (at most 5 s) ends. For
 * SAs without an event.
 */
void pending_sas_check_soon(struct pending_sas *pending_sas);
/*
 * A key manager has installed an SA that is not in the table. The programs did not see it, or the
 * table or a share was full. The next check first dumps the kernel's SAs, at most once a minute.
 */
void pending_sas_missing(struct pending_sas *pending_sas);

#endif
