/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removed policies, as long as they may come back: key managers remove a policy before they
 * install it anew. Only a latch of the peer that the policy names waits for its return.
 */
#ifndef LATCHD_CHOICE_CHOICE_GONE_H
#define LATCHD_CHOICE_CHOICE_GONE_H

#include "latchd/choice/choice_join.h"

#define CHOICE_GONE_MAX 8192
/* Policies of one remote gateway: peers choose their number. */
#define CHOICE_GONE_SHARE_MAX 1024

struct choice_gone { /* zeroed: none */
	struct choice_table table;
	uint64_t *until_ms; /* of each policy in the table */
	size_t capacity;
};

/*
 * The SPD is now after. Without memory, and beyond the bounds, a removed policy is forgotten, and
 * no latch waits for it.
 */
void choice_gone_update(struct choice_gone *gone, const struct choice_table *before,
			const struct choice_table *after, uint64_t until_ms);
/* Deletes the entries that have expired. True: there were some. */
bool choice_gone_expire(struct choice_gone *gone, uint64_t now_ms);
/* The time when the next policy is forgotten; UINT64_MAX: there is none. */
uint64_t choice_gone_next_ms(const struct choice_gone *gone);
void choice_gone_release(struct choice_gone *gone);

#endif
