/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Remembers packets that the cgroup gate has passed: see remembered.h. UDP sockets that send
 * elsewhere, or had a latch in a former connection, are left out. Only gate.bpf.c includes this
 * header, because the linker joins kernel functions of one object only.
 */
#ifndef LATCH_BPF_GATE_REMEMBER_PASS_H
#define LATCH_BPF_GATE_REMEMBER_PASS_H

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
	if (p->protection != PACKET_PROTECTED || !p->egress)
		return;
	pass->outer_protocol = outer_protocol_of(skb, p->sa.family);
	if (pass->outer_protocol == IPPROTO_UDP_NUMBER)
		pass->outer_ports = outer_ports_of(skb, p->sa.family);
}

static __always_inline void describe_flow(struct remembered_pass *pass, __u8 socket_family,
					  const struct passage *p)
{
	pass->socket_family = socket_family;
	pass->protocol = p->flow.protocol;
	pass->local_port = p->flow.local_port;
	pass->remote_port = bpf_htons(p->flow.remote_port);
	set_addresses(pass, &p->flow);
	pass->flow_place = place_of_flow(&p->flow);
	pass->sa_place = sa_place_of(p);
}

/* Compares all members but the stamp and the jiffy. */
static __always_inline int is_same_pass(const struct remembered_pass *old,
					struct remembered_pass *pass)
{
	const __u64 *a = (const __u64 *)old, *b = (const __u64 *)pass;
	__u8 made = pass->made;
	__u64 differs = 0;

	pass->made = old->made;
	for (int i = 1; i < sizeof(*old) / sizeof(*a); i++)
		differs |= a[i] ^ b[i];
	pass->made = made;
	return !differs;
}

/*
 * A flow may change its SA with each packet. To avoid an allocation for each packet, a jiffy has
 * at most one new pass. Until the next jiffy the old pass serves the packets that equal it.
 */
static __always_inline void replace_pass(void *map, struct bpf_sock *sk,
					 struct remembered_pass *pass)
{
	struct remembered_pass *old = bpf_sk_storage_get(map, sk, NULL, 0);

	pass->made = (__u8)bpf_jiffies64();
	if (old && is_same_pass(old, pass)) {
		WRITE_ONCE(old->stamp, pass->stamp);
		return;
	}
	if (old && old->made == pass->made)
		return;
	if (old)
		bpf_sk_storage_delete(map, sk);
	bpf_sk_storage_get(map, sk, pass, BPF_SK_STORAGE_GET_F_CREATE);
}

/* The bypass has been taken back since the check. */
static __always_inline int has_lost_bypass(struct bpf_sock *sk, const struct passage *p)
{
	struct socket_wish *wish;

	if (!p->bypass)
		return 0;
	wish = bpf_sk_storage_get(&wishes, sk, NULL, 0);
	return !wish || READ_ONCE(wish->terms) != WISH_BYPASS;
}

/*
 * True: the full check has to see each datagram of this UDP socket. If the socket names
 * addresses, the gate takes a name with each datagram. If the socket was latched in a former
 * connection, a datagram may belong to that connection. The socket's state may be newer than the
 * check: once the socket was latched, or has a wish, packets in clear are dropped. The check may
 * be of a connection before the wish.
 */
static __always_inline int is_searched(struct bpf_sock *sk, const struct passage *p)
{
	struct datagram_socket *socket;

	if (p->flow.protocol != IPPROTO_UDP_NUMBER)
		return 0;
	socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	if (!socket)
		return 0;
	if (p->protection == PACKET_PLAIN && (READ_ONCE(socket->verdict.was_latched) ||
					      READ_ONCE(socket->wished) || has_lost_bypass(sk, p)))
		return 1;
	return p->egress && (READ_ONCE(socket->sends_elsewhere) || READ_ONCE(socket->was_released));
}

/* The socket's state may have changed meanwhile: see begin_to_send_elsewhere() and
 * forget_unwished(). */
static __always_inline void remember_in(void *map, struct bpf_sock *sk,
					struct remembered_pass *pass, const struct passage *p)
{
	replace_pass(map, sk, pass);
	full_barrier();
	if (is_searched(sk, p))
		forget_pass(map, sk);
}

__noinline int remember_pass(struct __sk_buff *skb, struct passage *p, __u64 stamp)
{
	struct remembered_pass pass = {.stamp = stamp};
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !p || is_searched(sk, p))
		return 0;
	describe_packet(&pass, skb, p);
	describe_flow(&pass, sk->family, p);
	if (p->egress && is_like(skb, sk, &pass, 1))
		remember_in(&passed_out, sk, &pass, p);
	else if (!p->egress && is_like(skb, sk, &pass, 0))
		remember_in(&passed_in, sk, &pass, p);
	return 0;
}

#endif
