/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records when GRO merges packets that arrived under SAs of different peers: see merge.h. */
#include "packet/merge.h"
#include "packet/same_protection.h"

/* GRO has stored the header offsets in the first packet. */
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

/* The merged packet shows the SA of the first one. If it shows none it counts as in clear. */
static __always_inline void record_merge(struct sk_buff *first, __u64 netns)
{
	struct latch_flow flow = {.netns = netns};
	struct latch_sa_key shown;

	if (sec_path_sa(first, netns, &shown) != PACKET_PROTECTED)
		return;
	remote_of_first(first, &flow);
	record_doubt(&shown, &flow);
}

static __always_inline void check_merge(struct sk_buff *first, struct sk_buff *next)
{
	__u64 netns;

	if (!has_sec_path(first) && !has_sec_path(next))
		return;
	netns = BPF_CORE_READ(next, dev, nd_net.net, net_cookie);
	if (!same_protection(first, next, netns))
		record_merge(first, netns);
}

__noinline int sa_is_doubted(const struct latch_sa_key *sa, __u32 hash)
{
	return sa ? is_doubted(sa, hash) : 0;
}

SEC("fentry/skb_gro_receive")
int BPF_PROG(watch_merge, struct sk_buff *first, struct sk_buff *next)
{
	check_merge(first, next);
	return 0;
}

/*
 * The second way of GRO, off unless a device enables it. Some kernels have no function of its own
 * for it.
 */
SEC("fentry/skb_gro_receive_list")
int BPF_PROG(watch_merge_list, struct sk_buff *first, struct sk_buff *next)
{
	check_merge(first, next);
	return 0;
}
