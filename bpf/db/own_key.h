/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * This host's key in the SAs with the same params. Since Linux 6.1 the memory of an entry that
 * latchd replaces may become another one's at once, without RCU (bpf_mem_cache_free()). So a copy
 * counts if the entry has these bytes afterwards.
 */
#ifndef LATCH_BPF_DB_OWN_KEY_H
#define LATCH_BPF_DB_OWN_KEY_H

#include "db/maps.h"

static __always_inline struct latch_own_key *own_key_find(__u32 params)
{
	return bpf_map_lookup_elem(&own_keys, &params);
}

/* Is this copy the key of these params? */
static __always_inline int own_key_is(__u32 params, const __u8 *copy)
{
	struct latch_own_key *own = own_key_find(params);

	if (!own)
		return 0;
	for (int i = 0; i < LATCH_KEY_SIZE; i++)
		if (own->key[i] != copy[i])
			return 0;
	return 1;
}

#endif
