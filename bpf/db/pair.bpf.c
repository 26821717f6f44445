/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "db/pair.h"

__noinline int pair_decision(const struct latch_flow *flow)
{
	struct latch_pair pair = {};
	__u32 *only;

	if (!flow)
		return PAIR_UNDECIDED;
	pair.netns = flow->netns;
	pair.family = flow->family;
	__builtin_memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	__builtin_memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	only = bpf_map_lookup_elem(&pairs, &pair);
	return only ? (int)READ_ONCE(*only) : PAIR_UNDECIDED;
}
