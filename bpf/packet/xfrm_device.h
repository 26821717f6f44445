/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interfaces of route-based IPsec: which device is a tunnel, and in which network namespace the SAs
 * of its packets are.
 */
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
	SAS_PLACE_NONE,	  /* the device is no xfrm or VTI interface */
	SAS_PLACE_HERE,	  /* its SAs are in the network namespace of the socket */
	SAS_PLACE_HIDDEN, /* its SAs are in another namespace, or that is not known; or VTI */
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
	return named_device == device && named_net == net ? SAS_PLACE_HERE : SAS_PLACE_HIDDEN;
}

/* The kind of a device in one word; 0: none. */
static __always_inline __u64 kind_of_device(const struct net_device *device)
{
	const struct rtnl_link_ops *ops = device ? BPF_CORE_READ(device, rtnl_link_ops) : NULL;
	const char *name = ops ? BPF_CORE_READ(ops, kind) : NULL;
	__u64 kind = 0;

	return name && bpf_probe_read_kernel_str(&kind, sizeof(kind), name) >= 0 ? kind : 0;
}

static __always_inline int is_vti(__u64 kind)
{
	return kind == KIND_OF("vti") || kind == KIND_OF("vti6");
}

/*
 * True: the device puts its packets into outer packets, which policies may protect. Received
 * packets leave it without an SA. A kind is compared by its first seven letters.
 */
static __always_inline int is_tunnel(__u64 kind)
{
	return is_vti(kind) || kind == KIND_OF("gre") || kind == KIND_OF("gretap") ||
	       kind == KIND_OF("erspan") || kind == KIND_OF("ip6gre") ||
	       kind == KIND_OF("ip6gret") || kind == KIND_OF("ip6ersp") ||
	       kind == KIND_OF("ipip") || kind == KIND_OF("ip6tnl") || kind == KIND_OF("sit") ||
	       kind == KIND_OF("vxlan") || kind == KIND_OF("geneve") ||
	       kind == KIND_OF("bareudp") || kind == KIND_OF("wiregua") || kind == KIND_OF("gtp") ||
	       kind == KIND_OF("ovpn") || kind == KIND_OF("amt");
}

/*
 * An xfrm interface passes its packets to XFRM, and the gates see them again as ESP. The first
 * time the packets are in clear, and the gates must not check them yet. If the interface is in
 * another namespace than its SAs, the packets lose their socket on the way, and no gate sees
 * them again. VTI removes the SA from received packets (skb_scrub_packet() in vti_rcv_cb()).
 */
static OWN_FRAME enum sas_place place_of_sas(const struct net_device *device, const struct net *net)
{
	__u32 size = bpf_core_type_size(struct net_device);
	__u64 kind = kind_of_device(device);
	struct xfrm_if_start start = {};

	if (is_vti(kind))
		return SAS_PLACE_HIDDEN;
	if (kind != KIND_OF("xfrm"))
		return SAS_PLACE_NONE;
	bpf_probe_read_kernel(&start, sizeof(start),
			      (const void *)device +
				      ((size + NETDEV_PRIVATE_ALIGN - 1) & -NETDEV_PRIVATE_ALIGN));
	return place_of(device, net, start.dev, start.net);
}

#endif
