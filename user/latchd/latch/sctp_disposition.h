/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disposition reset of SCTP: SCTP itself changes to another path while there is one. The
 * association ends with its last path (RFC 5660 section 5.5), and the reaper releases the latch.
 *
 * One walk over all latches and one over all marks serve all associations of a round. A peer
 * chooses the number of latches and marks.
 */
#ifndef LATCHD_LATCH_SCTP_DISPOSITION_H
#define LATCHD_LATCH_SCTP_DISPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/latch/attempts.h"
#include "latchd/maps/kernel_maps.h"

#define SCTP_ABORT_ROUND 256 /* packets in a round */
#define SCTP_ABORT_SHARE 64  /* packets of one latch: the peer chooses the number of tags */

struct sctp_broken {
	struct latch_flow flow;
	struct latch latch;
};

/* Zeroed before the walk over all latches, which calls sctp_disposition_add() for each. */
struct sctp_disposition {
	uint64_t *live; /* associations with a path that passes */
	size_t live_count, live_room;
	struct sctp_broken *broken;
	size_t broken_count, broken_room;
	int err;
};

/* ends: the latch is BROKEN, and its association is to be ended, unless another path passes. */
void sctp_disposition_add(struct sctp_disposition *round, const struct latch_flow *flow,
			  const struct latch *latch, bool passes, bool ends);

/*
 * result: of a latch for which ABORTs were sent, or could not be. 0, -ENOENT when no tag or
 * namespace is known, or another negative errno.
 */
typedef void (*sctp_ended_fn)(void *context, const struct latch_flow *flow,
			      const struct latch *latch, int result);

/* After the walk. Releases round. 1: more is to be sent in another round. 0 or a negative errno. */
int sctp_disposition_end(struct sctp_disposition *round, const struct kernel_maps *maps,
			 struct attempts *attempts, sctp_ended_fn ended, void *context);

#endif
