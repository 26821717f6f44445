/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "db/pair.h"

__noinline int pair_decision(const struct latch_flow *flow, int params)
{
	struct latch_pair pair = {};
	__u32 *decision;

	if (!flow)
		return PAIR_UNDECIDED;
	pair.netns = flow->netns;
	pair.params = (__u16)params;
	pair.family = flow->family;
	__builtin_memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	__builtin_memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	decision = bpf_map_lookup_elem(&pairs, &pair);
	return decision ? (int)READ_ONCE(*decision) : PAIR_UNDECIDED;
}
