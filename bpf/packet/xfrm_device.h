/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interfaces of route-based IPsec. */
#ifndef LATCH_BPF_PACKET_XFRM_DEVICE_H
#define LATCH_BPF_PACKET_XFRM_DEVICE_H

#include "db/maps.h"

#define NETDEV_PRIVATE_ALIGN 32 /* netdev_priv() */

/*
 * The start of struct xfrm_if. That type may be in the BTF of a module only, and the module may be
 * loaded after the programs. Its member dev shows whether a kernel has this layout.
 */
struct xfrm_if_start {
	void *next;
	struct net_device *dev;
	struct net *net;
};

enum sas_place {
	SAS_PLACE_NONE,	     /* the device is no xfrm or VTI interface */
	SAS_PLACE_HERE,	     /* its SAs are in the network namespace of the socket */
	SAS_PLACE_ELSEWHERE, /* or not, or that cannot be read */
};

/* The name of a kind in one word. */
#define KIND_OF(name)                                                                              \
	({                                                                                         \
		__u64 word = 0;                                                                    \
                                                                                                   \
		__builtin_memcpy(&word, name, sizeof(name));                                       \
		word;                                                                              \
	})

static __always_inline enum sas_place place_of(const struct net_device *device,
					       const struct net *net,
					       const struct net_device *named_device,
					       const struct net *named_net)
{
	return named_device == device && named_net == net ? SAS_PLACE_HERE : SAS_PLACE_ELSEWHERE;
}

static __always_inline enum sas_place place_of_tunnel(const struct net_device *device,
						      const struct net *net, struct ip_tunnel *priv)
{
	if (!bpf_core_type_exists(struct ip_tunnel))
		return SAS_PLACE_ELSEWHERE;
	return place_of(device, net, BPF_CORE_READ(priv, dev), BPF_CORE_READ(priv, net));
}

static __always_inline enum sas_place place_of_tunnel6(const struct net_device *device,
						       const struct net *net, struct ip6_tnl *priv)
{
	if (!bpf_core_type_exists(struct ip6_tnl))
		return SAS_PLACE_ELSEWHERE;
	return place_of(device, net, BPF_CORE_READ(priv, dev), BPF_CORE_READ(priv, net));
}

/*
 * An xfrm or VTI interface passes its packets to XFRM, and the gates see them again as ESP: the
 * first time they are in clear, and the gates must not check them yet. If the interface was moved
 * to another namespace than that of its SAs, the packets lose their socket on the way, and no gate
 * sees them again.
 */
static OWN_FRAME enum sas_place place_of_sas(const struct net_device *device, const struct net *net)
{
	const struct rtnl_link_ops *ops = device ? BPF_CORE_READ(device, rtnl_link_ops) : NULL;
	const char *name = ops ? BPF_CORE_READ(ops, kind) : NULL;
	__u32 size = bpf_core_type_size(struct net_device);
	struct xfrm_if_start start = {};
	__u64 kind = 0;
	void *priv;

	if (!name || bpf_probe_read_kernel_str(&kind, sizeof(kind), name) < 0)
		return SAS_PLACE_NONE;
	priv = (void *)device + ((size + NETDEV_PRIVATE_ALIGN - 1) & -NETDEV_PRIVATE_ALIGN);
	if (kind == KIND_OF("vti"))
		return place_of_tunnel(device, net, priv);
	if (kind == KIND_OF("vti6"))
		return place_of_tunnel6(device, net, priv);
	if (kind != KIND_OF("xfrm"))
		return SAS_PLACE_NONE;
	bpf_probe_read_kernel(&start, sizeof(start), priv);
	return place_of(device, net, start.dev, start.net);
}

#endif
