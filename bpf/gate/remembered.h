/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fast path of the cgroup gate. Each direction of a socket remembers the last packet that
 * passed after a check in full: its flow, and its SA or that it was in clear. The next packet
 * passes at once if it equals that one, and if nothing has changed that the check read:
 *
 *	what has changed						what then misses
 *	a latch of the flow: created, broken, closed, released		epoch of the flow
 *	the entry of the SA: bound anew, pending, ambiguous, deleted	epoch of the SA
 *	the rules							every epoch
 *	the socket has another peer, or none				comparison of both ends
 *	a TCP socket connects again					forget_passes()
 *	a UDP socket names another address				epoch of the flow, for good
 *
 * The epochs were read before the check: see db/epochs.h. A remembered pass is replaced as a whole
 * and freed by RCU, so no reader sees parts of two. The namespace of a socket never changes.
 *
 * Only two results last: an SA carries an ESTABLISHED latch, and a flow in clear needs no latch.
 * What depends on one packet is looked at for each: its SA, how many SAs, GRO and reassembly
 * (mixture.h). MPTCP, listeners and connections that begin or end are always checked in full. A
 * future mode that changes what follows from a verdict has to advance every epoch.
 */
#ifndef LATCH_BPF_GATE_REMEMBERED_H
#define LATCH_BPF_GATE_REMEMBERED_H

#include "db/epochs.h"
#include "gate/flow_check.h"
#include "gate/same_sa.h"

/* Volatile: else the compiler computes one offset for both families, which no verifier accepts. */
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

/* Of a connected UDP socket the first. In other states a TCP segment may start or end a flow. */
static __always_inline int is_steady(__u8 state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_CLOSE_WAIT;
}

static __always_inline int is_unchanged(const struct remembered_pass *pass)
{
	const struct epochs *e = epochs_get();

	return e && pass->stamp == epochs_sum(e, pass->flow_epoch, pass->sa_epoch);
}

/* Non-zero: the whole check would pass this packet, too. */
static __always_inline int passes_as_before(struct __sk_buff *skb, struct bpf_sock *sk, int egress)
{
	const struct remembered_pass *pass;

	pass = bpf_sk_storage_get(egress ? (void *)&passed_out : (void *)&passed_in, sk, NULL, 0);
	if (!pass || !is_steady(sk->state) || !is_unchanged(pass) || !is_of_flow(pass, sk))
		return 0;
	return egress ? leaves_alike(skb, pass) : arrives_alike(skb, pass);
}

/*
 * Remembers a packet whose pass lasts. v: state of its socket, or NULL. stamp: the epochs before
 * its check. A global function, as check_packet().
 */
int remember_pass(struct __sk_buff *skb, struct passage *p, struct socket_verdict *v, __u64 stamp);

static __always_inline __u16 sa_epoch_of(const struct passage *p)
{
	return p->protection == PACKET_PROTECTED ? epoch_of_sa(&p->sa) : epoch_of_flow(&p->flow);
}

static __always_inline int check_and_remember(struct __sk_buff *skb, struct passage *p,
					      struct socket_verdict *v)
{
	const struct epochs *e = epochs_get();
	__u64 stamp;
	int verdict;

	if (!e)
		return check_packet(p, v);
	stamp = epochs_sum_before_check(e, epoch_of_flow(&p->flow), sa_epoch_of(p));
	verdict = check_packet(p, v);
	if (verdict == GATE_PASS && p->lasts)
		remember_pass(skb, p, v, stamp);
	return verdict;
}

#endif
