/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What GRO makes one packet of shows the SA of the first part only. Who sent parts under
 * another SA would have them delivered as the first one's. Nothing can keep the kernel
 * from it, but it is seen (merge.bpf.c): then what arrives of that flow is in doubt for a
 * while, longer than a packet takes from there to its socket.
 */
#ifndef LATCH_BPF_PACKET_MERGE_H
#define LATCH_BPF_PACKET_MERGE_H

#include "db/maps.h"

#define MERGE_DOUBT_NS 200000000ull

/* By the remote end alone: destination NAT comes in between and changes ours. */
static __always_inline __u32 merge_place(const struct latch_flow *flow)
{
	const __u32 *address = (const __u32 *)flow->remote_addr;
	__u32 hash = (__u32)flow->netns ^ (__u32)flow->remote_port << 16;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ address[i]) * 0x9e3779b1;
	return (hash >> 16) % MERGES_PLACES;
}

/* Of a packet that may have been merged: whether what covers it covered all of it. */
static __always_inline enum packet_protection
protection_after_merge(enum packet_protection protection, const struct latch_flow *flow)
{
	__u32 key = merge_place(flow);
	__u64 *last = bpf_map_lookup_elem(&merges, &key);

	if (protection != PACKET_PROTECTED || !last || !*last ||
	    bpf_ktime_get_boot_ns() - *last >= MERGE_DOUBT_NS)
		return protection;
	return PACKET_MERGED;
}

#endif
