/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-14: a PROTECT entry at the head of the SPD for one
 * 5-tuple. The kernel takes it away by itself POLICY_ENTRY_S after it was last
 * renewed, so that none outlives a latchd that does not come back.
 */
#ifndef LATCHD_SPD_POLICY_ENTRY_H
#define LATCHD_SPD_POLICY_ENTRY_H

#include <linux/xfrm.h>
#include <stdint.h>

#include "latchd/spd/policy.h"

#define POLICY_ENTRY_S	     60
#define POLICY_ENTRY_RENEW_S 20 /* older ones are to be renewed */

struct policy_entry {
	struct latch_flow flow;
	enum policy_direction direction;
	uint32_t if_id;
	/* The template: what the latch is for. Addresses of the SA, in tunnel mode only. */
	uint8_t protocol;
	uint8_t mode;
	uint8_t family; /* of these addresses */
	uint8_t source[16], destination[16];
	uint32_t reqid;
};

/*
 * renew: take the place of an entry of ours. 0, -EEXIST when somebody else has a policy
 * for this very 5-tuple (and not renew), or another negative errno.
 */
int policy_entry_insert(const struct policy_entry *entry, bool renew);

/* 0, also when it is not there, or a negative errno. */
int policy_entry_remove(uint64_t netns, const struct policy *policy);

/* Is this one of ours? policy_dump() asks, and keeps the answer in policy->entry. */
bool policy_is_entry(const struct policy *policy, const struct xfrm_lifetime_cfg *lifetime);

#endif
