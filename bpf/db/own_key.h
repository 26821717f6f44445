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

/* Is this copy the key of these params? A global function: the verifier checks it only once. */
int own_key_is(int params, const struct latch_own_key *copy);

#endif
