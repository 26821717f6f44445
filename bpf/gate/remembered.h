/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fast path of the cgroup gate. Each direction of a socket remembers the last packet that
 * passed after a check in full: its flow, and its SA or that it was in clear. The next packet
 * passes at once if it equals the remembered packet, and if no state has changed that the check
 * read:
 *
 *	state that has changed						detected by
 *	a latch of the flow: created, broken, healed, closed, released	epoch of the flow
 *	the entry of the SA: its word, its port, deleted, replaced	epoch of the SA
 *	the rules							every epoch
 *	the socket has met a latch (was_latched)			epoch of the flow
 *	the socket has another peer, or none				comparison of both ends
 *	the socket connects again					forget_passes()
 *	a UDP socket names another address				forget_pass()
 *	a UDP socket gets a wish, or loses its bypass			forget_passes()
 *
 * The epochs were read before the check: see db/epochs.h. Flow, SA and ports of the packet were
 * read before the epochs, but are compared with each packet again. A change of the SA's port
 * advances the SA's epoch. A remembered pass is replaced as a whole and freed by RCU, so no reader
 * sees parts of two passes. Only its stamp changes in place, which is one word. The namespace of a
 * socket never changes.
 *
 * Only two results last: an SA carries an ESTABLISHED latch, and a flow in clear needs no latch.
 * Properties of a packet are checked for each packet: its SA, the number of SAs, GRO and
 * reassembly (mixture.h). A pass is remembered only if it recognises its own packet. Never
 * remembered: MPTCP, listeners, connections that begin or end, packets that leave by a tunnel or
 * with an SA in their route. Nor are UDP sockets that name addresses or were latched in a former
 * connection.
 */
#ifndef LATCH_BPF_GATE_REMEMBERED_H
#define LATCH_BPF_GATE_REMEMBERED_H

#include "gate/same_sa.h"
#include "gate/stamped_check.h"

/* Volatile reads: else the compiler computes one offset for both families, which no verifier
 * accepts. */
static __always_inline int has_ipv4_ends(const struct remembered_pass *pass, struct bpf_sock *sk)
{
	return !((pass->local[0] ^ READ_ONCE(sk->src_ip4)) |
		 (pass->remote[0] ^ READ_ONCE(sk->dst_ip4)));
}

static __always_inline int has_ipv6_ends(const struct remembered_pass *pass, struct bpf_sock *sk)
{
	__u32 differs = pass->local[0] ^ READ_ONCE(sk->src_ip6[0]);

	differs |= pass->local[1] ^ READ_ONCE(sk->src_ip6[1]);
	differs |= pass->local[2] ^ READ_ONCE(sk->src_ip6[2]);
	differs |= pass->local[3] ^ READ_ONCE(sk->src_ip6[3]);
	differs |= pass->remote[0] ^ READ_ONCE(sk->dst_ip6[0]);
	differs |= pass->remote[1] ^ READ_ONCE(sk->dst_ip6[1]);
	differs |= pass->remote[2] ^ READ_ONCE(sk->dst_ip6[2]);
	differs |= pass->remote[3] ^ READ_ONCE(sk->dst_ip6[3]);
	return !differs;
}

static __always_inline int is_of_flow(const struct remembered_pass *pass, struct bpf_sock *sk)
{
	if (pass->remote_port != (__u16)sk->dst_port || pass->local_port != sk->src_port ||
	    pass->socket_family != sk->family)
		return 0;
	return pass->socket_family == AF_INET ? has_ipv4_ends(pass, sk) : has_ipv6_ends(pass, sk);
}

/* True: for the check the packet equals the remembered packet. */
static __always_inline int is_like(struct __sk_buff *skb, struct bpf_sock *sk,
				   const struct remembered_pass *pass, int egress)
{
	if (!is_of_flow(pass, sk))
		return 0;
	return egress ? leaves_alike(skb, pass) : arrives_alike(skb, pass);
}

/* Non-zero: the whole check would pass this packet, too. */
static __always_inline int passes_as_before(struct __sk_buff *skb, struct bpf_sock *sk, int egress)
{
	const struct remembered_pass *pass;

	pass = bpf_sk_storage_get(egress ? (void *)&passed_out : (void *)&passed_in, sk, NULL, 0);
	return pass && is_steady(sk->state) && is_unchanged(pass) && is_like(skb, sk, pass, egress);
}

#endif
