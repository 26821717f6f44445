/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attempts for each BROKEN latch. A round of the disposition walks over all latches, and
 * takes only steps that are due.
 */
#ifndef LATCHD_LATCH_ATTEMPTS_H
#define LATCHD_LATCH_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hash.h"
#include "latch_abi.h"

#define ATTEMPT_NEVER UINT64_MAX

enum attempt_step {
	ATTEMPT_LOOK_UP, /* of the socket, by its addresses: quick, but misses some sockets */
	ATTEMPT_SEARCH,	 /* by a walk over all sockets */
};

struct attempt {
	uint64_t id;	  /* of the latch */
	uint64_t changed; /* of the latch: after another transition nothing has been tried */
	uint64_t due_ms;  /* loop_now_ms() of the next step, or ATTEMPT_NEVER */
	enum attempt_step step;
	bool failed;	    /* the failure has been published */
	size_t sent;	    /* SCTP: ABORTs */
	unsigned int round; /* the last round that saw the latch */
	UT_hash_handle hh;
};

struct attempts { /* zeroed before first use */
	struct attempt *by_id;
	unsigned int round;
};

/* NULL: nothing was tried. */
struct attempt *attempts_find(struct attempts *attempts, const struct latch *latch);
/* The same, or a new one. NULL: no memory. */
struct attempt *attempts_note(struct attempts *attempts, const struct latch *latch);

/* After a walk over all latches: forgets the latches that no call named in this round. */
void attempts_end_round(struct attempts *attempts);

void attempts_release(struct attempts *attempts);

#endif
