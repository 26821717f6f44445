/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the SAs that protected a packet from the kernel's structures: xfrm_state and sec_path. An
 * SA in a mode other than transport, tunnel and BEET carries no latched flow.
 */
#ifndef LATCH_BPF_PACKET_SEC_PATH_H
#define LATCH_BPF_PACKET_SEC_PATH_H

#include "db/maps.h"

#define MODE_TRANSPORT 0 /* macros of linux/xfrm.h, so not in BTF */
#define MODE_TUNNEL    1
#define MODE_BEET      4

static __always_inline int has_sec_path(const struct sk_buff *skb)
{
	__u32 slot = bpf_core_enum_value(enum skb_ext_id, SKB_EXT_SEC_PATH);

	return skb->active_extensions & (1 << slot);
}

static __always_inline void state_sa(struct xfrm_state *x, __u64 netns, struct latch_sa_key *sa)
{
	sa->netns = netns;
	sa->family = BPF_CORE_READ(x, props.family);
	if (sa->family == AF_INET)
		BPF_CORE_READ_INTO((__be32 *)sa->daddr, x, id.daddr.a4);
	else
		BPF_CORE_READ_INTO((__be32(*)[4])sa->daddr, x, id.daddr.a6);
	sa->spi = bpf_ntohl(BPF_CORE_READ(x, id.spi));
	sa->protocol = BPF_CORE_READ(x, id.proto);
}

/* RFC 9347 (IP-TFS, Linux 6.14) cuts and joins packets, so no gate sees the packets that leave in
 * this mode. */
static __always_inline int is_known_mode(struct xfrm_state *x)
{
	__u8 mode = BPF_CORE_READ(x, props.mode);

	return mode == MODE_TRANSPORT || mode == MODE_TUNNEL || mode == MODE_BEET;
}

static __always_inline enum packet_protection protection_of_state(struct xfrm_state *x, __u64 netns,
								  struct latch_sa_key *sa)
{
	if (!is_known_mode(x))
		return PACKET_OTHER_MODE;
	state_sa(x, netns, sa);
	return PACKET_PROTECTED;
}

/* The sec_path of a packet that XFRM has decapsulated lists its SAs. */
static __always_inline enum packet_protection sec_path_sa(struct sk_buff *skb, __u64 netns,
							  struct latch_sa_key *sa)
{
	__u32 slot = bpf_core_enum_value(enum skb_ext_id, SKB_EXT_SEC_PATH);
	struct xfrm_state *x;
	struct sec_path *path;
	struct skb_ext *extensions;
	__u8 offset = 0;
	__u64 length;

	__builtin_memset(sa, 0, sizeof(*sa));
	if (!(BPF_CORE_READ(skb, active_extensions) & (1 << slot)))
		return PACKET_PLAIN;
	extensions = BPF_CORE_READ(skb, extensions);
	bpf_probe_read_kernel(&offset, sizeof(offset),
			      (void *)extensions + bpf_core_field_offset(struct skb_ext, offset) +
				      slot);
	path = (void *)extensions + (__u32)offset * 8; /* skb_ext offsets count 8-byte chunks */
	/*
	 * The width of len differs between kernels, so a read of fixed size would be wrong on one
	 * of them.
	 */
	length = BPF_CORE_READ_BITFIELD_PROBED(path, len);
	if (!length)
		return PACKET_PLAIN;
	if (length != 1)
		return PACKET_NESTED;
	x = BPF_CORE_READ(path, xvec[0]);
	if (!x)
		return PACKET_MALFORMED;
	return protection_of_state(x, netns, sa);
}

#endif
