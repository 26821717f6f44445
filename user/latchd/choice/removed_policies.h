/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removed policies, as long as they may come back: key managers remove a policy before they
 * install it anew. Only a latch of the peer that the policy names waits for its return.
 */
#ifndef LATCHD_CHOICE_REMOVED_POLICIES_H
#define LATCHD_CHOICE_REMOVED_POLICIES_H

#include "latchd/choice/choice_join.h"

#define REMOVED_POLICIES_MAX 8192
/* Policies of one remote gateway: peers choose their number. */
#define REMOVED_POLICIES_SHARE_MAX 1024

struct removed_policies { /* zeroed: none */
	struct choice_table table;
	uint64_t *until_ms; /* of each policy in the table */
	size_t capacity;
};

/*
 * The SPD is now after. Without memory, and beyond the bounds, a removed policy is forgotten, and
 * no latch waits for it.
 */
void removed_policies_update(struct removed_policies *removed, const struct choice_table *before,
			     const struct choice_table *after, uint64_t until_ms);
/* Deletes the entries that have expired. True: there were some. */
bool removed_policies_expire(struct removed_policies *removed, uint64_t now_ms);
/* The time when the next policy is forgotten; UINT64_MAX: there is none. */
uint64_t removed_policies_next_ms(const struct removed_policies *removed);
void removed_policies_release(struct removed_policies *removed);

#endif
