/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Remembers what the cgroup gate has passed: see remembered.h. */
#include "gate/remembered.h"

/* An IPv6 socket with an IPv4 peer has mapped addresses. */
static __always_inline void set_addresses(struct remembered_pass *pass,
					  const struct latch_flow *flow)
{
	__be32 mapped = bpf_htonl(0xffff);

	if (flow->family == AF_INET && pass->socket_family == AF_INET6) {
		pass->local[2] = pass->remote[2] = mapped;
		__builtin_memcpy(&pass->local[3], flow->local_addr, 4);
		__builtin_memcpy(&pass->remote[3], flow->remote_addr, 4);
		return;
	}
	__builtin_memcpy(pass->local, flow->local_addr, 16);
	__builtin_memcpy(pass->remote, flow->remote_addr, 16);
}

static __always_inline void describe_packet(struct remembered_pass *pass, struct __sk_buff *skb,
					    const struct passage *p)
{
	if (p->protection == PACKET_PROTECTED)
		pass->sa = p->sa;
	else
		pass->device = p->egress ? skb->ifindex : 0;
	if (p->protection == PACKET_PROTECTED && p->egress)
		pass->outer_protocol = outer_protocol_of(skb, p->sa.family);
}

static __always_inline void describe_flow(struct remembered_pass *pass, __u8 socket_family,
					  const struct passage *p)
{
	pass->socket_family = socket_family;
	pass->protocol = p->flow.protocol;
	pass->local_port = p->flow.local_port;
	pass->remote_port = bpf_htons(p->flow.remote_port);
	set_addresses(pass, &p->flow);
	pass->flow_epoch = epoch_of_flow(&p->flow);
	pass->sa_epoch = sa_epoch_of(p);
}

static __always_inline int is_same_pass(const struct remembered_pass *one,
					const struct remembered_pass *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;
	__u64 differs = 0;

	for (int i = 0; i < sizeof(*one) / sizeof(*a); i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/*
 * A peer that changes its SA with each packet must not make the kernel allocate for each: one new
 * pass in a jiffy.
 */
static __always_inline int is_too_soon(struct socket_verdict *v, int egress)
{
	__u32 now = (__u32)bpf_jiffies64();

	if (!v)
		return 0;
	if ((egress ? READ_ONCE(v->remembered_out) : READ_ONCE(v->remembered_in)) == now)
		return 1;
	if (egress)
		WRITE_ONCE(v->remembered_out, now);
	else
		WRITE_ONCE(v->remembered_in, now);
	return 0;
}

/* The old one goes at once. Else the latch would continue to show the SA of this packet. */
static __always_inline void replace_pass(void *map, struct bpf_sock *sk,
					 struct remembered_pass *pass, struct socket_verdict *v,
					 int egress)
{
	struct remembered_pass *old = bpf_sk_storage_get(map, sk, NULL, 0);

	if (old && is_same_pass(old, pass))
		return;
	if (old)
		bpf_sk_storage_delete(map, sk);
	if (!is_too_soon(v, egress))
		bpf_sk_storage_get(map, sk, pass, BPF_SK_STORAGE_GET_F_CREATE);
}

/* The gate takes the name that the application gives a datagram: udp_syscalls.bpf.c. */
static __always_inline int may_have_name(struct bpf_sock *sk, const struct passage *p)
{
	struct datagram_socket *socket;

	if (!p->egress || p->flow.protocol != IPPROTO_UDP_NUMBER)
		return 0;
	socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	return socket && READ_ONCE(socket->sends_elsewhere);
}

__noinline int remember_pass(struct __sk_buff *skb, struct passage *p, struct socket_verdict *v,
			     __u64 stamp)
{
	struct remembered_pass pass = {};
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !p || !is_steady(p->tcp_state) || may_have_name(sk, p))
		return 0;
	pass.stamp = stamp;
	describe_packet(&pass, skb, p);
	describe_flow(&pass, sk->family, p);
	if (p->egress)
		replace_pass(&passed_out, sk, &pass, v, 1);
	else
		replace_pass(&passed_in, sk, &pass, v, 0);
	return 0;
}
