/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policies that are gone, for as long as they may come back: key managers remove a policy before
 * they install it anew. Only a latch of the peer that such a policy names waits for it.
 */
#ifndef LATCHD_CHOICE_REMOVED_POLICIES_H
#define LATCHD_CHOICE_REMOVED_POLICIES_H

#include "latchd/choice/choice_join.h"

#define REMOVED_POLICIES_MAX 8192
/* Of one remote gateway: peers choose the number of policies. */
#define REMOVED_POLICIES_SHARE_MAX 1024

struct removed_policies { /* zeroed: none */
	struct choice_table table;
	uint64_t *until_ms; /* of each policy in the table */
	size_t capacity;
};

/*
 * The SPD is after now. Without memory, and beyond the bounds, a policy that is gone is forgotten:
 * nothing waits for it.
 */
void removed_policies_update(struct removed_policies *removed, const struct choice_table *before,
			     const struct choice_table *after, uint64_t until_ms);
/* Deletes the entries that have expired. True: there were some. */
bool removed_policies_expire(struct removed_policies *removed, uint64_t now_ms);
/* When the next one is forgotten; UINT64_MAX: none is left. */
uint64_t removed_policies_next_ms(const struct removed_policies *removed);
void removed_policies_release(struct removed_policies *removed);

#endif
