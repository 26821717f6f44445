/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Compares two flows: namespace, addresses, ports and protocol. */
#ifndef LATCH_BPF_PACKET_SAME_FLOW_H
#define LATCH_BPF_PACKET_SAME_FLOW_H

#include "db/maps.h"

static __always_inline int same_bytes(const void *one, const void *other, int size)
{
	const __u64 *a = one, *b = other;
	__u64 difference = 0;

	for (int i = 0; i < size / 8; i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

static __always_inline int same_flow(const struct latch_flow *one, const struct latch_flow *other)
{
	return same_bytes(one, other, sizeof(*one));
}

#endif
