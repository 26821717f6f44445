/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "db/own_key.h"

__noinline int own_key_is(int params, const struct latch_own_key *copy)
{
	const struct latch_own_key *own = own_key_find((__u32)params);
	const __u64 *a = (const __u64 *)own, *b = (const __u64 *)copy;
	__u64 differs = 0;

	if (!own || !copy)
		return 0;
	for (int i = 0; i < LATCH_KEY_SIZE / 8; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}
