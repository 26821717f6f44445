/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Latches whose flow the SPD does not protect at the moment. Key managers replace
 * policies in several steps, so each is given some time before it is broken.
 */
#ifndef LATCHD_SPD_SPD_GRACE_H
#define LATCHD_SPD_SPD_GRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"

struct spd_suspect;

/* Zeroed before first use. */
struct spd_suspects {
	struct spd_suspect *by_id;
	unsigned int round;
};

/* Suspects the latch. Has it been suspected for so long? Without memory it has. */
bool spd_suspect(struct spd_suspects *suspects, uint64_t netns, uint64_t latch_id,
		 unsigned int time_ms);

/* All that were not suspected since the last call: they were looked at and found protected. */
void spd_suspects_acquit(struct spd_suspects *suspects);

/* In which namespaces they are, some several times. */
void spd_suspects_visit(const struct spd_suspects *suspects,
			void (*visit)(void *context, uint64_t netns), void *context);

void spd_suspects_release(struct spd_suspects *suspects);

#endif
