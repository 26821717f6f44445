/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sets of peers, and which of them a peer is of. */
#ifndef LATCH_BPF_DB_PEER_SETS_H
#define LATCH_BPF_DB_PEER_SETS_H

#include "db/maps.h"

static __always_inline struct latch_peer_facts *peer_facts_find(__u32 index)
{
	return bpf_map_lookup_elem(&peer_facts, &index);
}

/* Of the half that is in force with this rule_stamp. */
static __always_inline __u32 sets_of(const struct latch_peer_facts *facts, __u32 stamp)
{
	return stamp & 1 ? READ_ONCE(facts->sets[1]) : READ_ONCE(facts->sets[0]);
}

static __always_inline struct latch_peer_sets *peer_sets_find(__u32 stamp)
{
	__u32 half = stamp & 1;

	return bpf_map_lookup_elem(&peer_sets, &half);
}

#endif
