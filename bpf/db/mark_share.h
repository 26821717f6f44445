/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The marks of refused flows may fill a quarter of the latch table. The flows of one peer may fill
 * a quarter of that, so that one peer leaves places for the flows of others. A peer is the params
 * of the flow's SA; all flows in clear count as one peer. Flows that this host opens have their own
 * shares, and a part that flows from outside cannot fill. All namespaces where any local user may
 * be root count as one.
 *
 * The counts are in slots of a hash, as those of sa_share.h. Slot 0 counts all marks.
 */
#ifndef LATCH_BPF_DB_MARK_SHARE_H
#define LATCH_BPF_DB_MARK_SHARE_H

#include "db/sa_share.h"

/* The flow that is to get a mark. */
struct marked_flow {
	__u64 netns;
	__u16 params; /* of its SA; 0 = in clear, or not attributed */
	__u8 opened_here;
	__u8 foreign; /* of a user namespace other than the host's */
	__u8 why;     /* enum latch_drop */
};

static __always_inline __u32 mark_share_slot(const struct marked_flow *flow)
{
	__u64 hash = sa_share_mix(sa_share_seed() ^ (flow->foreign ? 0 : flow->netns));

	hash = sa_share_mix(hash ^ (flow->foreign ? 0 : flow->params) ^
			    (__u64)flow->opened_here << 16);
	return 1 + (__u32)(hash >> 32) % (LATCH_MARK_SHARES - 1);
}

/* Takes a place for a mark. quota: places of all marks. Non-zero: taken. */
static __always_inline int mark_share_take(__u32 slot, int opened_here, __u32 quota)
{
	__u32 all = 0;
	__u64 *taken = bpf_map_lookup_elem(&mark_shares, &slot);
	__u64 *sum = bpf_map_lookup_elem(&mark_shares, &all);

	if (!taken || !sum || !quota_take(taken, quota / 4))
		return 0;
	if (quota_take(sum, opened_here ? quota : quota - quota / 4))
		return 1;
	quota_give(taken);
	return 0;
}

static __always_inline void mark_share_give(__u32 slot)
{
	__u32 all = 0;
	__u64 *taken = bpf_map_lookup_elem(&mark_shares, &slot);
	__u64 *sum = bpf_map_lookup_elem(&mark_shares, &all);

	if (taken)
		quota_give(taken);
	if (sum)
		quota_give(sum);
}

#endif
