/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * State of connected UDP sockets (RFC 5660 section 5.2). No callback reports that a connect() of a
 * connected socket succeeded, or that the socket was disconnected. So the socket's last flow is
 * stored with it. If its present flow differs, the old connection has ended, and its latch is
 * released.
 */
#ifndef LATCH_BPF_GATE_UDP_SOCKET_H
#define LATCH_BPF_GATE_UDP_SOCKET_H

#include "db/datagram_latch.h"
#include "packet/packet.h"
#include "packet/same_flow.h"
#include "packet/socket_flow.h"

/* A raw socket may have the same protocol; its port is the number of that protocol. */
static __always_inline int is_connected(const struct bpf_sock *sk)
{
	return sk->type == SOCK_DGRAM && sk->state == BPF_TCP_ESTABLISHED && sk->dst_port;
}

/*
 * connect() draws sk_txhash, and each datagram takes it along as its hash, unless that was computed
 * from its headers later (sw_hash).
 */
static __always_inline int has_hash_of_socket(const struct sk_buff *skb)
{
	return BPF_CORE_READ_BITFIELD_PROBED(skb, l4_hash) &&
	       !BPF_CORE_READ_BITFIELD_PROBED(skb, sw_hash);
}

/*
 * True: the datagram belongs to a connection from before the last connect(). It waited in a queue,
 * or was corked.
 */
static OWN_FRAME int is_of_former_connection(const struct sk_buff *skb, const struct sock *sk)
{
	__u32 own = BPF_CORE_READ(sk, sk_txhash);

	return own && BPF_CORE_READ(skb, hash) != own && has_hash_of_socket(skb);
}

/*
 * True: the datagram provably belongs to the present connection. A socket that was never
 * connected has no hash. Its datagrams have no hash, or one of the headers.
 */
static OWN_FRAME int is_of_present_connection(const struct sk_buff *skb, const struct sock *sk)
{
	return BPF_CORE_READ(skb, hash) == BPF_CORE_READ(sk, sk_txhash) && has_hash_of_socket(skb);
}

static __always_inline struct datagram_socket *datagram_socket_new(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&datagram_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

#endif
