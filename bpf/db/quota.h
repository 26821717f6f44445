/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef LATCH_BPF_TALLY_H
#define LATCH_BPF_TALLY_H

/*
 * Room in a table for what any local user can make in namespaces of his own, without an SA
 * that a key manager vouches for: so many, and not the whole table.
 */
static __always_inline int tally_in(__u64 *tally, __s64 most)
{
	if ((__s64)__sync_fetch_and_add(tally, 1) < most)
		return 1;
	__sync_fetch_and_sub(tally, 1);
	return 0;
}

#endif
