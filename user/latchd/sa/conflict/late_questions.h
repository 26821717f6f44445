/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions that came while the SPD was not known (contested_flows.c). Peers choose when the SPD is
 * edited, so a question that is only asked again may never meet the right moment. A full table
 * gives up the last question of the peer with most of them.
 */
#ifndef LATCHD_SA_CONFLICT_LATE_QUESTIONS_H
#define LATCHD_SA_CONFLICT_LATE_QUESTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

#define LATE_QUESTIONS_MAX 256

struct late_question {
	struct latch_sa_key sa;
	struct latch_flow flow;
	uint16_t peer; /* index of its identity */
};

struct late_questions { /* zeroed before first use */
	size_t count;
	struct late_question kept[LATE_QUESTIONS_MAX];
	uint16_t of_peer[LATCH_IDENTITIES_MAX + 1];
};

/* Of two questions for the same SA and addresses one is kept. */
void late_questions_add(struct late_questions *questions, const struct late_question *question);
/* False: none is left. */
bool late_questions_take(struct late_questions *questions, struct late_question *ret);

#endif
