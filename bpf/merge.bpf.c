/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Notes when GRO makes one packet of what came under SAs of two owners: see merge.h. */
#include "merge.h"
#include "packet.h"

static __always_inline int has_sec_path(const struct sk_buff *skb)
{
	__u32 slot = bpf_core_enum_value(enum skb_ext_id, SKB_EXT_SEC_PATH);

	return skb->active_extensions & (1 << slot);
}

/* As pass_established() has it: the same params, which an SA of nobody does not have. */
static __noinline __u16 params_of(const struct latch_sa_key *sa)
{
	struct latch_sa *found = bpf_map_lookup_elem(&sas, sa);
	union latch_sa_word word;

	if (!found)
		return 0;
	word.raw = *(volatile __u64 *)&found->word.raw;
	if (word.flags & LATCH_SA_AMBIGUOUS || word.state == LATCH_SA_PENDING)
		return 0;
	return word.params;
}

static __always_inline int same_key(const struct latch_sa_key *one,
				    const struct latch_sa_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;
	__u64 difference = 0;

	for (int i = 0; i < sizeof(*one) / sizeof(*a); i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

static __noinline int same_owner(struct sk_buff *first, struct sk_buff *next, __u64 netns)
{
	struct latch_sa_key one, other;
	enum packet_cover cover = sec_path_sa(first, netns, &one);
	__u16 params;

	if (cover != sec_path_sa(next, netns, &other))
		return 0;
	if (same_key(&one, &other))
		return 1;
	params = params_of(&one);
	return params && params == params_of(&other);
}

/* GRO has left the offsets of its headers with the first packet. */
static __always_inline void remote_of_first(struct sk_buff *first, struct latch_flow *flow)
{
	void *head = BPF_CORE_READ(first, head);
	void *ip = head + BPF_CORE_READ(first, network_header);
	__u8 version = 0;
	__be16 port = 0;

	bpf_probe_read_kernel(&version, sizeof(version), ip);
	if (version >> 4 == 4)
		bpf_probe_read_kernel(flow->remote_addr, 4, ip + offsetof(struct iphdr, saddr));
	else
		bpf_probe_read_kernel(flow->remote_addr, 16, ip + offsetof(struct ipv6hdr, saddr));
	bpf_probe_read_kernel(&port, sizeof(port), head + BPF_CORE_READ(first, transport_header));
	flow->remote_port = bpf_ntohs(port);
}

static __always_inline void note_doubt(struct sk_buff *first, __u64 netns)
{
	struct latch_flow flow = {.netns = netns};
	__u64 *last;
	__u32 key;

	remote_of_first(first, &flow);
	key = merge_place(&flow);
	last = bpf_map_lookup_elem(&merges, &key);
	if (last)
		*last = bpf_ktime_get_boot_ns();
}

static __always_inline void merges_with(struct sk_buff *first, struct sk_buff *next)
{
	__u64 netns;

	if (!has_sec_path(first) && !has_sec_path(next))
		return;
	netns = BPF_CORE_READ(next, dev, nd_net.net, net_cookie);
	if (!same_owner(first, next, netns))
		note_doubt(first, netns);
}

SEC("fentry/skb_gro_receive")
int BPF_PROG(watch_merge, struct sk_buff *first, struct sk_buff *next)
{
	merges_with(first, next);
	return 0;
}

/* The other way, off unless a device is told to; not every kernel has a function for it. */
SEC("fentry/skb_gro_receive_list")
int BPF_PROG(watch_merge_list, struct sk_buff *first, struct sk_buff *next)
{
	merges_with(first, next);
	return 0;
}
