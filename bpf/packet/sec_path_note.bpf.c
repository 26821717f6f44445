/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Passes the SA of a received packet to gate_ingress, for kernels before Linux 6.2 only. Without
 * bpf_cast_to_kern_ctx their cgroup programs cannot read the sec_path of their packet. The kernel
 * function that calls those programs is entered just before them, on the same CPU and with
 * softirqs off. A note made here is therefore of the packet that gate_ingress checks next.
 *
 * The function is entered for packets of AF_UNIX and netlink sockets, too, with softirqs on and
 * without those programs. A softirq meanwhile finds this program busy and gets no note. Its packet
 * must not find the note of another one: no note is made for those sockets.
 */
#include "packet/packet.h"

/* Cgroup programs see the packet from its network header on. */
static __always_inline __u32 length_from_network_header(struct sk_buff *skb)
{
	__u64 header = (__u64)BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);

	return BPF_CORE_READ(skb, len) + ((__u64)BPF_CORE_READ(skb, data) - header);
}

SEC("fentry/__cgroup_bpf_run_filter_skb")
int BPF_PROG(note_ingress, struct sock *sk, struct sk_buff *skb, int type)
{
	__u32 key = 0;
	struct ingress_note *note;
	__u16 family;

	if (type != bpf_core_enum_value(enum cgroup_bpf_attach_type, CGROUP_INET_INGRESS))
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	note = bpf_map_lookup_elem(&ingress_notes, &key);
	if (!note)
		return 0;
	note->protection =
		ingress_sa(skb, BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie), &note->sa);
	note->length = length_from_network_header(skb);
	return 0;
}
