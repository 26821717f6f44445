/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup gate for connected UDP sockets (RFC 5660 section 5.2). */
#ifndef LATCH_BPF_GATE_UDP_H
#define LATCH_BPF_GATE_UDP_H

#include "gate/cgroup_packet.h"
#include "gate/flow_check.h"
#include "gate/udp_socket.h"
#include "packet/merge.h"

enum datagram {
	DATAGRAM_UNREADABLE,
	DATAGRAM_OTHER, /* of the socket, but not of its connection */
	DATAGRAM_OWN,
};

static __always_inline int same_address(const __u8 address[16], const __u8 header[16])
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, address, 16);
	__builtin_memcpy(b, header, 16);
	return same_bytes(a, b, 16);
}

/* The outer header is the datagram's own, unless it leaves as ESP or as ESP in UDP. */
static __always_inline enum datagram
read_plain_datagram(const struct packet *packet, const struct ip_headers *ip, struct passage *p)
{
	const __u8 *peer = p->egress ? ip->destination : ip->source;
	__u16 local, remote;
	struct udphdr udp;

	if (packet_load(packet, ip->payload, &udp, sizeof(udp)))
		return DATAGRAM_UNREADABLE;
	local = bpf_ntohs(p->egress ? udp.source : udp.dest);
	remote = bpf_ntohs(p->egress ? udp.dest : udp.source);
	if (p->egress && local != p->flow.local_port) {
		p->protection = packet_egress_sa(packet, p->flow.netns, ip, &p->sa);
		return DATAGRAM_OWN;
	}
	return remote == p->flow.remote_port && same_address(p->flow.remote_addr, peer)
		       ? DATAGRAM_OWN
		       : DATAGRAM_OTHER;
}

/*
 * Fills protection and sa of p. Reads flow and egress. Returns an enum datagram. A global
 * function, as check_packet().
 */
__noinline int udp_read_packet(struct __sk_buff *skb, struct passage *p)
{
	struct packet packet = {.cgroup = skb};
	struct ip_headers ip;

	if (!p)
		return DATAGRAM_UNREADABLE;
	p->protection = PACKET_PLAIN;
	if (packet_headers(&packet, family_of(skb), &ip))
		return DATAGRAM_UNREADABLE;
	/* Datagrams that GRO merged may have been segmented again by now. */
	if (!p->egress)
		p->protection = protection_after_merge(
			packet_ingress_sa(skb, p->flow.netns, &p->sa), &p->flow);
	else if (ip.protocol != IPPROTO_UDP_NUMBER)
		p->protection = packet_egress_sa(&packet, p->flow.netns, &ip, &p->sa);
	return ip.protocol == IPPROTO_UDP_NUMBER ? read_plain_datagram(&packet, &ip, p)
						 : DATAGRAM_OWN;
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

static __always_inline int check_datagram(struct bpf_sock *sk, struct datagram_socket *socket,
					  struct passage *p)
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
	p->may_start = !(p->egress && socket && socket->sends_elsewhere);
	verdict = check_packet(p, socket ? &socket->verdict : NULL);
	if (!socket && verdict != GATE_PASS)
		socket = datagram_socket_new(sk);
	if (socket)
		remember_flow(socket, p);
	return verdict == GATE_PASS ? GATE_PASS : GATE_DROP;
}

/* A socket that is not connected has no flow: its datagrams pass. */
static __always_inline int gate_udp(struct __sk_buff *skb, struct bpf_sock *sk, struct passage *p)
{
	struct datagram_socket *socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	struct sock *kernel_sk = kernel_socket(sk);
	int connected = is_connected(sk), kind;

	if (connected)
		flow_of_socket(sk, netns_of_kernel_socket(kernel_sk), &p->flow);
	if (socket && socket->verdict.was_latched && !same_flow(&socket->flow, &p->flow))
		datagram_release_latch(socket, p->socket_cookie);
	if (!connected)
		return GATE_PASS;
	kind = udp_read_packet(skb, p);
	if (kind == DATAGRAM_OTHER)
		return GATE_PASS;
	if (kind != DATAGRAM_OWN)
		return drop(LATCH_DROP_MALFORMED, p, NULL);
	if (p->egress && comes_back(skb, p))
		return GATE_PASS;
	return check_datagram(sk, socket, p);
}

#endif
