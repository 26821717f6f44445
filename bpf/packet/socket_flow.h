/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow of a socket, as the key of its latch. */
#ifndef LATCH_BPF_PACKET_SOCKET_FLOW_H
#define LATCH_BPF_PACKET_SOCKET_FLOW_H

#include "db/maps.h"

static __always_inline int address_is_mapped(const __u32 a[4])
{
	return !a[0] && !a[1] && a[2] == bpf_htonl(0xffff);
}

/* The flow of an IPv6 socket with an IPv4 peer is an IPv4 flow, like its packets. */
static __always_inline void flow_of_socket(struct bpf_sock *sk, __u64 netns,
					   struct latch_flow *flow)
{
	__u32 local[4] = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]};
	__u32 remote[4] = {sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3]};

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->netns = netns;
	flow->protocol = sk->protocol;
	flow->local_port = sk->src_port;
	flow->remote_port = bpf_ntohs(sk->dst_port);
	flow->family = sk->family;
	if (sk->family == AF_INET6 && address_is_mapped(remote)) {
		flow->family = AF_INET;
		__builtin_memcpy(flow->local_addr, &local[3], 4);
		__builtin_memcpy(flow->remote_addr, &remote[3], 4);
	} else if (sk->family == AF_INET6) {
		__builtin_memcpy(flow->local_addr, local, 16);
		__builtin_memcpy(flow->remote_addr, remote, 16);
	} else {
		__u32 local4 = sk->src_ip4, remote4 = sk->dst_ip4;

		__builtin_memcpy(flow->local_addr, &local4, 4);
		__builtin_memcpy(flow->remote_addr, &remote4, 4);
	}
}

/* The same for a struct sock that the program reached by itself. */
static __always_inline void flow_of_kernel_socket(struct sock *sk, __u64 netns,
						  struct latch_flow *flow)
{
	__u32 local[4], remote[4];
	__be32 local4 = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	__be32 remote4 = BPF_CORE_READ(sk, __sk_common.skc_daddr);

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->netns = netns;
	flow->protocol = BPF_CORE_READ(sk, sk_protocol);
	flow->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	flow->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	flow->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	BPF_CORE_READ_INTO(&local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
	BPF_CORE_READ_INTO(&remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
	if (flow->family == AF_INET6 && !address_is_mapped(remote)) {
		__builtin_memcpy(flow->local_addr, local, 16);
		__builtin_memcpy(flow->remote_addr, remote, 16);
		return;
	}
	flow->family = AF_INET;
	__builtin_memcpy(flow->local_addr, &local4, 4);
	__builtin_memcpy(flow->remote_addr, &remote4, 4);
}

/*
 * A socket bound to a mapped address receives IPv4 only. One bound to :: counts as IPv6, although
 * it receives both.
 */
static __always_inline void set_listener_address(struct latch_flow *flow, __u8 family, __u32 local4,
						 const __u32 local[4])
{
	flow->family = family;
	if (family == AF_INET6 && address_is_mapped(local)) {
		flow->family = AF_INET;
		__builtin_memcpy(flow->local_addr, &local[3], 4);
	} else if (family == AF_INET6) {
		__builtin_memcpy(flow->local_addr, local, 16);
	} else {
		__builtin_memcpy(flow->local_addr, &local4, 4);
	}
}

static __always_inline void listener_of_socket(struct bpf_sock *sk, __u64 netns,
					       struct latch_flow *flow)
{
	__u32 local[4] = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]};

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->netns = netns;
	flow->protocol = sk->protocol;
	flow->local_port = sk->src_port;
	set_listener_address(flow, sk->family, sk->src_ip4, local);
}

static __always_inline void flow_of_kernel_listener(struct sock *sk, __u64 netns,
						    struct latch_flow *flow)
{
	__u32 local[4] = {};

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->netns = netns;
	flow->protocol = BPF_CORE_READ(sk, sk_protocol);
	flow->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	BPF_CORE_READ_INTO(&local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
	set_listener_address(flow, BPF_CORE_READ(sk, __sk_common.skc_family),
			     BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr), local);
}

/*
 * The struct sock behind a program's socket. Both have the same address, but the verifier allows
 * reads of a few members only. Read back from the stack, the address is a number, and every
 * member can be probed.
 */
static __always_inline struct sock *kernel_socket(struct bpf_sock *sk)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &sk);
	return (struct sock *)address;
}

static __always_inline __u64 netns_of_kernel_socket(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
}

#endif
