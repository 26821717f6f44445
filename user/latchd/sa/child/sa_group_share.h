/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The groups of one peer with one remote host, or with all networks together. Their number has a
 * limit for each of the peer's params, and one for all.
 */
#ifndef LATCHD_SA_CHILD_SA_GROUP_SHARE_H
#define LATCHD_SA_CHILD_SA_GROUP_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "latchd/sa/child/sa_group.h"

struct sa_groups_share_key {
	uint64_t netns;
	uint8_t address[16];
	uint16_t peer;
	uint8_t family; /* 0: several hosts */
	uint8_t pad[5];
};

struct sa_groups_share {
	struct sa_groups_share_key key;
	struct sa_group *first;
	unsigned int count;
	UT_hash_handle hh;
};

/* family 0: several hosts, and netns 0. NULL: the peer has no group there. */
struct sa_groups_share *sa_group_share_find_at(const struct sa_groups *groups, uint16_t peer,
					       uint64_t netns, uint8_t family,
					       const uint8_t address[16]);
/* NULL: the peer has no group there. */
struct sa_groups_share *sa_group_share_find(const struct sa_groups *groups,
					    const struct child_sa *child);
/* NULL when out of memory. */
struct sa_groups_share *sa_group_share_of(struct sa_groups *groups, const struct child_sa *child);
/* share: may be NULL. */
void sa_group_share_enter(struct sa_groups_share *share, struct sa_group *group);
void sa_group_share_leave(struct sa_groups *groups, struct sa_group *group);
/* Frees the share if it has no group. */
void sa_group_share_free_unused(struct sa_groups *groups, struct sa_groups_share *share);
/* True: the share admits no further group of these params. */
bool sa_group_share_is_full(const struct sa_groups_share *share, uint16_t params);

#endif
