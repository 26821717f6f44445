/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet that GRO has merged shows the SA of its first part only. A peer could thus have data
 * of its own SA delivered as another peer's. No program can prevent the merge, but a program
 * can observe it (merge.bpf.c). For a while afterwards the gates treat received packets of that
 * remote end that show that SA as PACKET_MERGED. The time is longer than a packet takes from GRO
 * to its socket.
 *
 * Packets that show another SA are not doubted: a peer that merges packets under its own SAs
 * keeps no other peer's packet from arriving.
 */
#ifndef LATCH_BPF_PACKET_MERGE_H
#define LATCH_BPF_PACKET_MERGE_H

#include "db/maps.h"
#include "db/read_once.h"

#define MERGED_FOR_NS 200000000ull
#define MERGED_ANY_SA 1ull /* in a time of merges: there is no entry in doubts for it */

/* By the remote end alone, because destination NAT may still change the local one. */
static __always_inline __u32 merge_hash(const struct latch_flow *flow)
{
	const __u32 *address = (const __u32 *)flow->remote_addr;
	__u32 hash = (__u32)flow->netns ^ (__u32)flow->remote_port << 16;

	for (int i = 0; i < 4; i++)
		hash = (hash ^ address[i]) * 0x9e3779b1;
	return hash >> 16;
}

static __always_inline int is_recent_merge(__u64 last)
{
	__s64 since = (__s64)(bpf_ktime_get_boot_ns() - (last & ~MERGED_ANY_SA));

	return last && since < (__s64)MERGED_FOR_NS;
}

/*
 * The key and serial of the SA's entry. The serial is the same before and after the SA is bound.
 * SAs that are not in the table share one entry.
 */
static __always_inline __u32 doubt_key(struct latch_sa_key *key)
{
	struct latch_sa *found = bpf_map_lookup_elem(&sas, key);
	union latch_sa_word word;

	if (!found) {
		__builtin_memset(key, 0, sizeof(*key));
		return 0;
	}
	word = READ_WORD(found->word);
	return word.serial;
}

static __always_inline struct merge_doubt *doubt_entry(const struct latch_sa_key *key, __u32 serial)
{
	struct merge_doubt *doubt = bpf_map_lookup_elem(&doubts, key);
	struct merge_doubt fresh = {.serial = serial};

	if (doubt)
		return doubt;
	bpf_map_update_elem(&doubts, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&doubts, key);
}

/*
 * A packet that shows this SA was merged with another SA's packet. Without memory for the entry
 * the packets of all SAs from that end are doubted.
 */
static __always_inline void record_doubt(struct latch_sa_key *shown, const struct latch_flow *flow)
{
	__u32 hash = merge_hash(flow), slot = hash % MERGE_SLOTS, serial = doubt_key(shown);
	struct merge_doubt *doubt = doubt_entry(shown, serial);
	__u64 *last = bpf_map_lookup_elem(&merges, &slot);
	__u64 now = bpf_ktime_get_boot_ns() & ~MERGED_ANY_SA;

	if (doubt) {
		doubt->serial = serial;
		doubt->last[hash % DOUBT_SLOTS] = now;
	}
	if (last)
		*last = now | (is_recent_merge(*last) ? *last & MERGED_ANY_SA : 0) |
			(doubt ? 0 : MERGED_ANY_SA);
}

/*
 * Whether this SA has a recent mark for that end. A global function (merge.bpf.c): the verifier
 * checks it once.
 */
int sa_is_doubted(const struct latch_sa_key *sa, __u32 hash);

static __always_inline int is_doubted(const struct latch_sa_key *sa, __u32 hash)
{
	struct latch_sa_key key = *sa;
	__u32 serial = doubt_key(&key);
	struct merge_doubt *doubt = bpf_map_lookup_elem(&doubts, &key);

	return doubt && doubt->serial == serial && is_recent_merge(doubt->last[hash % DOUBT_SLOTS]);
}

/* The protection of a packet that GRO may have merged. sa: of a protected packet. */
static __always_inline enum packet_protection
protection_after_merge(enum packet_protection protection, const struct latch_flow *flow,
		       const struct latch_sa_key *sa)
{
	__u32 hash = merge_hash(flow), slot = hash % MERGE_SLOTS;
	__u64 *last = bpf_map_lookup_elem(&merges, &slot);

	if (protection != PACKET_PROTECTED || !last || !is_recent_merge(*last))
		return protection;
	return *last & MERGED_ANY_SA || sa_is_doubted(sa, hash) ? PACKET_MERGED : protection;
}

#endif
