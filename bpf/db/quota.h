/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Limits the entries that any local user can create from the network namespaces of a new user
 * namespace. No key manager attributes an SA there. These entries may fill a part of a table,
 * never all of it. The sizes: SAs in maps.h (count_foreign_sa()), latches in latch_db.h
 * (latches_quota()), SCTP marks in association.h.
 */
#ifndef LATCH_BPF_DB_QUOTA_H
#define LATCH_BPF_DB_QUOTA_H

static __always_inline int quota_take(__u64 *quota, __s64 max)
{
	if ((__s64)__sync_fetch_and_add(quota, 1) < max)
		return 1;
	__sync_fetch_and_sub(quota, 1);
	return 0;
}

/* If the map with the count was lost, the counted entries still exist. A count below 0 would widen
 * the quota. */
static __always_inline void quota_give(__u64 *quota)
{
	if ((__s64)__sync_fetch_and_sub(quota, 1) <= 0)
		__sync_fetch_and_add(quota, 1);
}

#endif
