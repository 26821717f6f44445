/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SAs between two addresses may fill a quarter of the SA table: an authenticated peer gets
 * each pair of SAs by one CREATE_CHILD_SA. Before Linux 6.10 the kernel does not say which of
 * the two addresses is remote, so both count, in any order. An IPv6 address counts as its /64.
 *
 * The counts are in slots of a hash. Two pairs of addresses in one full slot are improbable: at
 * most four slots are full at once, and peers do not know the seed.
 */
#ifndef LATCH_BPF_DB_SA_SHARE_H
#define LATCH_BPF_DB_SA_SHARE_H

#include "db/maps.h"

static __always_inline __u64 sa_share_mix(__u64 value)
{
	value = (value ^ value >> 33) * 0xff51afd7ed558ccdULL;
	value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return value ^ value >> 33;
}

static __always_inline __u64 sa_share_seed(void)
{
	__u32 first = 0;
	__u64 *seed = bpf_map_lookup_elem(&sa_shares, &first); /* in place of taken */

	if (!seed)
		return 0;
	if (!*seed)
		__sync_val_compare_and_swap(seed, 0, bpf_ktime_get_boot_ns() | 1);
	return *seed;
}

/* IPv4 addresses have zeros behind their first four bytes. */
static __always_inline __u32 sa_share_slot(const struct latch_sa_key *key,
					   const struct latch_sa *sa)
{
	__u64 seed = sa_share_seed(), source, destination;

	__builtin_memcpy(&source, sa->saddr, sizeof(source));
	__builtin_memcpy(&destination, key->daddr, sizeof(destination));
	seed = sa_share_mix(seed ^ key->netns);
	source = sa_share_mix(seed ^ source) + sa_share_mix(seed ^ destination);
	return 1 + (__u32)(source >> 32) % (SA_SHARE_SLOTS - 1);
}

static __always_inline int sa_share_take(__u32 slot)
{
	struct sa_share *share = bpf_map_lookup_elem(&sa_shares, &slot);

	if (share && quota_take(&share->taken, SA_SHARE))
		return 1;
	count(LATCH_COUNTER_SAS_OVER_QUOTA);
	return 0;
}

static __always_inline void sa_share_give(__u32 slot)
{
	struct sa_share *share = bpf_map_lookup_elem(&sa_shares, &slot);

	if (share)
		__sync_fetch_and_sub(&share->taken, 1);
}

/*
 * Notes an SA that is being installed, with serial 0 if it has no entry. Returns the serial of the
 * SA that was installed before it. A key manager installs the inbound SA of a pair, and then the
 * outbound one. If the returned serial is the inbound SA's, no other SA was installed between them.
 */
static __always_inline __u32 sa_share_succeed(__u32 slot, __u32 serial)
{
	struct sa_share *share = bpf_map_lookup_elem(&sa_shares, &slot);

	return share ? (__u32)__sync_lock_test_and_set(&share->newest, (__u64)serial) : 0;
}

#endif
