/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interfaces of route-based IPsec. */
#ifndef LATCH_BPF_PACKET_XFRM_DEVICE_H
#define LATCH_BPF_PACKET_XFRM_DEVICE_H

#include "db/maps.h"

/*
 * An xfrm or VTI interface passes its packets to XFRM, and the gates see them again as ESP. The
 * first time they are in clear, and the gates must not check them yet.
 */
static __always_inline int is_xfrm_device(struct net_device *device)
{
	const struct rtnl_link_ops *ops = device ? BPF_CORE_READ(device, rtnl_link_ops) : NULL;
	const char *name = ops ? BPF_CORE_READ(ops, kind) : NULL;
	char kind[5] = {};

	if (!name || bpf_probe_read_kernel_str(kind, sizeof(kind), name) < 0)
		return 0;
	return (kind[0] == 'x' && kind[1] == 'f' && kind[2] == 'r' && kind[3] == 'm') ||
	       (kind[0] == 'v' && kind[1] == 't' && kind[2] == 'i' && (!kind[3] || kind[3] == '6'));
}

#endif
