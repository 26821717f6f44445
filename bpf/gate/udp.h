/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup gate for connected UDP sockets (RFC 5660 section 5.2). */
#ifndef LATCH_BPF_GATE_UDP_H
#define LATCH_BPF_GATE_UDP_H

#include "gate/cgroup_packet.h"
#include "gate/flow_check.h"
#include "gate/named_ends.h"
#include "gate/remembered.h"
#include "gate/udp_socket.h"
#include "packet/nat.h"

/* In this order: gate_udp() compares. */
enum datagram {
	DATAGRAM_UNREADABLE,
	DATAGRAM_NAMED,	    /* in clear, and its header has the address that the socket named */
	DATAGRAM_REWRITTEN, /* in clear, and its header names neither that nor the peer */
	DATAGRAM_OWN,
};

static __always_inline enum datagram read_ends(const struct packet *packet,
					       const struct ip_headers *ip, const struct passage *p,
					       struct named_ends *names)
{
	const __u8 *peer = p->egress ? ip->destination : ip->source;
	struct udphdr udp;
	__u16 remote;

	if (packet_load(packet, ip->payload, &udp, sizeof(udp)))
		return DATAGRAM_UNREADABLE;
	remote = bpf_ntohs(p->egress ? udp.dest : udp.source);
	if (has_remote_end(&p->flow, peer, remote))
		return DATAGRAM_OWN;
	if (p->egress && was_sent_to(kernel_packet(packet->cgroup), &p->flow))
		return DATAGRAM_OWN;
	return names && take_name_of(names, peer, remote) ? DATAGRAM_NAMED : DATAGRAM_REWRITTEN;
}

/*
 * Fills protection, sa and may_start of p. Reads flow and egress. names: of the socket of a
 * datagram that leaves, or NULL. Returns an enum datagram. A global function, as check_packet().
 */
__noinline int udp_read_packet(struct __sk_buff *skb, struct passage *p, struct named_ends *names)
{
	struct packet packet = {.cgroup = skb};
	enum datagram kind = DATAGRAM_OWN;
	struct ip_headers ip;

	if (!p)
		return DATAGRAM_UNREADABLE;
	if (packet_headers(&packet, family_of(skb), &ip))
		return DATAGRAM_UNREADABLE;
	p->protection = p->egress ? packet_egress_sa(&packet, p->flow.netns, &ip, &p->sa)
				  : ingress_sa(kernel_packet(skb), p->flow.netns, &p->sa);
	/* The ports of ESP in UDP are not the datagram's. */
	if (ip.protocol == IPPROTO_UDP_NUMBER && (!p->egress || p->protection == PACKET_PLAIN))
		kind = read_ends(&packet, &ip, p, names);
	p->may_start = kind == DATAGRAM_OWN;
	return kind;
}

/*
 * From its first packet on the socket remembers its flow: if the latch is closed later, the
 * socket stays blocked. The latch may be another socket's, which this socket met before it had a
 * flow.
 */
static __always_inline void remember_flow(struct datagram_socket *socket, const struct passage *p)
{
	if (socket->verdict.was_latched && same_flow(&socket->flow, &p->flow))
		return;
	socket->flow = p->flow;
	if (latch_find(&p->flow))
		socket->verdict.was_latched = 1;
}

static __always_inline int check_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					  struct datagram_socket *socket, struct passage *p)
{
	int verdict;

	if (!socket && p->protection != PACKET_PLAIN) {
		socket = datagram_socket_new(sk);
		if (!socket)
			return drop(LATCH_DROP_LATCHES_FULL, p, NULL);
	}
	/*
	 * Behind ESP a datagram to another address equals one to the connected peer. Only
	 * received datagrams prove the flow.
	 */
	if (p->egress && socket && socket->sends_elsewhere)
		p->may_start = 0;
	verdict = check_and_remember(skb, p, socket ? &socket->verdict : NULL);
	if (!socket && verdict != GATE_PASS)
		socket = datagram_socket_new(sk);
	if (socket)
		remember_flow(socket, p);
	return verdict;
}

/* To send() a datagram that waits is sent and lost (R-2-15), one that is refused gets EPERM. */
static __always_inline int datagram_verdict(int verdict, int egress)
{
	if (verdict == GATE_PASS)
		return GATE_PASS;
	if (!egress || verdict != GATE_LOSE)
		return GATE_DROP;
	count(LATCH_COUNTER_DATAGRAMS_LOST);
	return GATE_LOSE;
}

/*
 * All that a connected socket sends is its connection's, whatever its header names: destination
 * NAT, a source route or a routing header changes the destination. Only a datagram for which the
 * application has named another address is not. The sending task tells which one that is. Behind
 * a queue (NFQUEUE), or with several threads, only the header can.
 *
 * What a connected socket receives from another address is checked, too, but creates no latch. A
 * socket that is not connected has no flow: its datagrams pass.
 */
static __always_inline int gate_udp(struct __sk_buff *skb, struct bpf_sock *sk, struct passage *p)
{
	struct datagram_socket *socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	struct sock *kernel_sk = kernel_socket(sk);
	int connected = is_connected(sk), kind;
	enum datagram elsewhere = DATAGRAM_NAMED;
	struct named_ends *names = NULL;

	if (connected)
		flow_of_socket(sk, netns_of_kernel_socket(kernel_sk), &p->flow);
	if (socket && socket->verdict.was_latched && !same_flow(&socket->flow, &p->flow))
		datagram_release_latch(socket, p->socket_cookie);
	if (!connected)
		return GATE_PASS;
	if (p->egress && socket && socket->sends_elsewhere)
		names = bpf_sk_storage_get(&named_ends, sk, NULL, 0);
	/* The header of a datagram that was named may be rewritten, too. */
	if (names && take_name(names))
		elsewhere = DATAGRAM_REWRITTEN;
	kind = udp_read_packet(skb, p, names);
	if (kind < DATAGRAM_NAMED)
		return drop(LATCH_DROP_MALFORMED, p, NULL);
	if (kind <= elsewhere)
		return GATE_PASS;
	p->tcp_state = sk->state;
	if (p->egress && comes_back(skb, p))
		return GATE_PASS;
	return check_datagram(skb, sk, socket, p);
}

#endif
