/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet that GRO has merged shows the SA of its first part only. A peer could thus have data
 * of its own SA delivered as another peer's. No program can prevent the merge, but a program
 * can observe it (merge.bpf.c). For a while afterwards the gates treat received packets of that
 * flow as PACKET_MERGED. The time is longer than a packet takes from GRO to its socket.
 */
#ifndef LATCH_BPF_PACKET_MERGE_H
#define LATCH_BPF_PACKET_MERGE_H

#include "db/maps.h"

#define MERGED_FOR_NS 200000000ull

/* By the remote end alone, because destination NAT may still change the local one. */
static __always_inline __u32 merge_slot(const struct latch_flow *flow)
{
	const __u32 *address = (const __u32 *)flow->remote_addr;
	__u32 hash = (__u32)flow->netns ^ (__u32)flow->remote_port << 16;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ address[i]) * 0x9e3779b1;
	return (hash >> 16) % MERGE_SLOTS;
}

/* The protection of a packet that GRO may have merged. */
static __always_inline enum packet_protection
protection_after_merge(enum packet_protection protection, const struct latch_flow *flow)
{
	__u32 key = merge_slot(flow);
	__u64 *last = bpf_map_lookup_elem(&merges, &key);

	if (protection != PACKET_PROTECTED || !last || !*last ||
	    bpf_ktime_get_boot_ns() - *last >= MERGED_FOR_NS)
		return protection;
	return PACKET_MERGED;
}

#endif
