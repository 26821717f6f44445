/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-14: a PROTECT entry of latchd at the head of the SPD, for one
 * 5-tuple. The kernel deletes the entry POLICY_ENTRY_S after its last renewal, so that no entry
 * stays after a latchd that does not start again.
 */
#ifndef LATCHD_SPD_POLICY_ENTRY_H
#define LATCHD_SPD_POLICY_ENTRY_H

#include <linux/xfrm.h>
#include <stdint.h>

#include "latchd/spd/policy.h"

#define POLICY_ENTRY_S	     60 /* seconds until an entry expires */
#define POLICY_ENTRY_RENEW_S 20 /* seconds until an entry is renewed */

struct policy_entry {
	struct latch_flow flow;
	enum policy_direction direction;
	uint32_t if_id;
	/* The template: the latch's parameters. The SA's addresses are set in tunnel mode only. */
	uint8_t protocol;
	uint8_t mode;
	uint8_t family; /* of the SA's addresses */
	uint8_t source[16], destination[16];
	uint32_t reqid;
};

/*
 * Adds the entry; renew: replaces an entry of latchd. 0, -EEXIST (without renew: the SPD has
 * another policy for this 5-tuple), or another negative errno.
 */
int policy_entry_insert(const struct policy_entry *entry, bool renew);

/* 0, also if the SPD has no such entry, or a negative errno. */
int policy_entry_remove(uint64_t netns, const struct policy *policy);

/* True: latchd added this policy. policy_dump() keeps the answer in policy->entry. */
bool policy_entry_is_ours(const struct policy *policy, const struct xfrm_lifetime_cfg *lifetime);

#endif
