/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Compares the protection of a packet with a remembered pass: the same SA, or both in clear.
 * Packets with IP options or extension headers count as different, since the check in full
 * reads them in another way.
 */
#ifndef LATCH_BPF_GATE_SAME_SA_H
#define LATCH_BPF_GATE_SAME_SA_H

#include "gate/packet_family.h"
#include "packet/packet.h"
#include "packet/same_protection.h"
#include "packet/typed.h"

static __always_inline int is_in_clear(const struct remembered_pass *pass)
{
	return !pass->sa.protocol;
}

static __always_inline int made_by_xfrm(struct __sk_buff *skb, __u8 family)
{
	const struct sk_buff *kernel_skb;

	if (!typed_pointers)
		return is_made_by_xfrm(kernel_packet(skb), family);
	kernel_skb = bpf_cast_to_kern_ctx(skb);
	if (family == AF_INET)
		return TYPED(&kernel_skb->cb, struct inet_skb_parm)->flags & IPSKB_XFRM_TRANSFORMED;
	return TYPED(&kernel_skb->cb, struct inet6_skb_parm)->flags & IP6SKB_XFRM_TRANSFORMED;
}

/*
 * at: the end of the outer header. For ESP in UDP the ports are compared, too: a datagram of
 * the socket may begin with the same bytes (is_encapsulation()).
 */
static __always_inline int has_spi(const __be32 *at, const void *end,
				   const struct remembered_pass *pass)
{
	__be32 spi = bpf_htonl(pass->sa.spi);

	switch (pass->outer_protocol) {
	case IPPROTO_ESP_NUMBER:
		return (const void *)(at + 1) <= end && at[0] == spi;
	case IPPROTO_AH_NUMBER:
		return (const void *)(at + 2) <= end && at[1] == spi;
	case IPPROTO_UDP_NUMBER:
		return (const void *)(at + 3) <= end && at[2] == spi && at[0] == pass->outer_ports;
	}
	return 0;
}

static __always_inline int leaves_under(struct __sk_buff *skb, const struct remembered_pass *pass)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *v6 = data;
	const struct iphdr *v4 = data;
	const __u32 *sa = (const __u32 *)pass->sa.daddr, *to;

	if (pass->sa.family == AF_INET) {
		if ((const void *)(v4 + 1) > end || *(const __u8 *)data != 0x45 ||
		    v4->protocol != pass->outer_protocol || v4->daddr != sa[0])
			return 0;
		return has_spi((const __be32 *)(v4 + 1), end, pass);
	}
	if ((const void *)(v6 + 1) > end || v6->nexthdr != pass->outer_protocol)
		return 0;
	to = (const __u32 *)&v6->daddr;
	if ((to[0] ^ sa[0]) | (to[1] ^ sa[1]) | (to[2] ^ sa[2]) | (to[3] ^ sa[3]))
		return 0;
	return has_spi((const __be32 *)(v6 + 1), end, pass);
}

/* The protocol of the packet's outer header; 0: not known. */
static __always_inline __u8 outer_protocol_of(struct __sk_buff *skb, __u8 family)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *v6 = data;
	const struct iphdr *v4 = data;

	if (family == AF_INET)
		return (const void *)(v4 + 1) <= end ? v4->protocol : 0;
	return (const void *)(v6 + 1) <= end ? v6->nexthdr : 0;
}

/* Both ports of the UDP header behind an outer header without options; 0: not known. */
static __always_inline __u32 outer_ports_of(struct __sk_buff *skb, __u8 family)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const __u32 *v4 = data + sizeof(struct iphdr), *v6 = data + sizeof(struct ipv6hdr);

	if (family == AF_INET)
		return (const void *)(v4 + 1) <= end ? *v4 : 0;
	return (const void *)(v6 + 1) <= end ? *v6 : 0;
}

/*
 * On another device the packet may be on its way to XFRM, so it counts as different. With an SA in
 * its route it may be, too, but the check in full passes such a packet as well: comes_back().
 */
static __always_inline int leaves_in_clear(struct __sk_buff *skb,
					   const struct remembered_pass *pass)
{
	__u8 family = family_of(skb);

	if (skb->ifindex != pass->device || outer_protocol_of(skb, family) != pass->protocol)
		return 0;
	return pass->protocol == IPPROTO_TCP_NUMBER || !made_by_xfrm(skb, family);
}

static __always_inline int leaves_alike(struct __sk_buff *skb, const struct remembered_pass *pass)
{
	if (is_in_clear(pass))
		return leaves_in_clear(skb, pass);
	if (family_of(skb) != pass->sa.family || !leaves_under(skb, pass))
		return 0;
	return pass->outer_protocol != IPPROTO_UDP_NUMBER || made_by_xfrm(skb, pass->sa.family);
}

static __always_inline int is_same_state(const struct xfrm_state *x, const struct latch_sa_key *sa)
{
	const __u32 *daddr = (const __u32 *)sa->daddr;
	__u32 differs = x->id.daddr.a4 ^ daddr[0];

	differs |= x->id.spi ^ bpf_htonl(sa->spi);
	differs |= x->id.proto ^ sa->protocol;
	differs |= x->props.family ^ sa->family;
	if (sa->family == AF_INET)
		return !differs;
	differs |= x->id.daddr.a6[1] ^ daddr[1];
	differs |= x->id.daddr.a6[2] ^ daddr[2];
	differs |= x->id.daddr.a6[3] ^ daddr[3];
	return !differs;
}

static __always_inline int arrives_under_typed(const struct sk_buff *skb,
					       const struct latch_sa_key *sa)
{
	__u32 slot = bpf_core_enum_value(enum skb_ext_id, SKB_EXT_SEC_PATH);
	const struct skb_ext *extensions = skb->extensions;
	const __u8 *offsets = extensions->offset;
	const struct sec_path *path;

	path = TYPED((const void *)extensions + (__u32)offsets[slot] * 8, struct sec_path);
	if (BPF_CORE_READ_BITFIELD(path, len) != 1 || !is_same_state(path->xvec[0], sa))
		return 0;
	return !is_marked_at(mixed_packets(), number_at(&skb->extensions));
}

/* Linux 6.1 */
static OWN_FRAME int arrives_alike_probed(struct __sk_buff *skb, const struct remembered_pass *pass)
{
	enum packet_protection want = is_in_clear(pass) ? PACKET_PLAIN : PACKET_PROTECTED;
	struct latch_sa_key own;

	if (ingress_sa(kernel_packet(skb), pass->sa.netns, &own) != want)
		return 0;
	return is_in_clear(pass) || same_key(&own, &pass->sa);
}

static __always_inline int arrives_alike(struct __sk_buff *skb, const struct remembered_pass *pass)
{
	const struct sk_buff *kernel_skb;

	/* Behind extension headers the check in full may find the packet malformed. */
	if (family_of(skb) != AF_INET && outer_protocol_of(skb, AF_INET6) != pass->protocol)
		return 0;
	if (!typed_pointers)
		return arrives_alike_probed(skb, pass);
	kernel_skb = bpf_cast_to_kern_ctx(skb);
	if (is_in_clear(pass))
		return !has_sec_path(kernel_skb);
	return has_sec_path(kernel_skb) && arrives_under_typed(kernel_skb, &pass->sa);
}

#endif
