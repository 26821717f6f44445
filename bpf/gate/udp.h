/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup gate for connected UDP sockets (RFC 5660 section 5.2). Decides whether a datagram is
 * of the socket's connection, of a former one, or for another address. Decides whether datagrams
 * from before the latch leave its peer unproven.
 */
#ifndef LATCH_BPF_GATE_UDP_H
#define LATCH_BPF_GATE_UDP_H

#include "db/met_latch.h"
#include "gate/audit.h"
#include "gate/cgroup_packet.h"
#include "gate/flow_check.h"
#include "gate/named_ends.h"
#include "gate/stamped_check.h"
#include "gate/udp_socket.h"
#include "gate/wish.h"
#include "packet/datagram_queue.h"
#include "packet/nat.h"

/* The order matters: gate_udp() compares these values. */
enum datagram {
	DATAGRAM_UNREADABLE,
	DATAGRAM_NAMED,	    /* in clear, and its header has the address that the socket named */
	DATAGRAM_REWRITTEN, /* in clear, and its header names neither that nor the peer */
	DATAGRAM_OWN,
};

static __always_inline enum datagram read_ends(const struct packet *packet,
					       const struct ip_headers *ip, const struct passage *p,
					       int egress, struct named_ends *names)
{
	const __u8 *peer = egress ? ip->destination : ip->source;
	struct udphdr udp;
	__u16 remote;

	if (packet_load(packet, ip->payload, &udp, sizeof(udp)))
		return DATAGRAM_UNREADABLE;
	remote = bpf_ntohs(egress ? udp.dest : udp.source);
	if (has_remote_end(&p->flow, peer, remote))
		return DATAGRAM_OWN;
	if (egress && was_sent_to(kernel_packet(packet->cgroup), &p->flow))
		return DATAGRAM_OWN;
	return names && take_name_of(names, peer, remote) ? DATAGRAM_NAMED : DATAGRAM_REWRITTEN;
}

/*
 * The application may have read the datagram. connect() forgets remembered passes before it
 * changes the peer. A pass from in between also counts. Some passes are not remembered:
 * latch(7).
 */
static __always_inline int has_received_in_clear(struct bpf_sock *sk)
{
	const struct remembered_pass *pass = bpf_sk_storage_get(&passed_in, sk, NULL, 0);

	return pass && pass->sa_place == NO_SA && READ_ONCE(pass->stamp) != NO_STAMP;
}

static __always_inline int read_datagram(struct __sk_buff *skb, struct passage *p, int egress,
					 struct named_ends *names)
{
	struct packet packet = {.cgroup = skb};
	enum datagram kind = DATAGRAM_OWN;
	struct ip_headers ip;

	if (!p)
		return DATAGRAM_UNREADABLE;
	if (cgroup_headers(skb, &ip))
		return DATAGRAM_UNREADABLE;
	p->protection = egress ? packet_egress_sa(&packet, p->flow.netns, &ip, &p->flow, &p->sa)
			       : ingress_sa(kernel_packet(skb), p->flow.netns, &p->sa);
	/* The ports of ESP in UDP are not those of the datagram inside. */
	if (ip.protocol == IPPROTO_UDP_NUMBER && (!egress || p->protection == PACKET_PLAIN))
		kind = read_ends(&packet, &ip, p, egress, names);
	p->may_start = kind == DATAGRAM_OWN;
	return kind;
}

/*
 * Both fill protection, sa and may_start of p and what the socket wishes, and read flow. names: of
 * the socket, or NULL. They return an enum datagram. Global functions, as check_packet(). Each
 * direction has its own function, since a gate is verified with all functions that it may call.
 */
__noinline int udp_read_sent(struct __sk_buff *skb, struct passage *p, struct named_ends *names)
{
	int kind = read_datagram(skb, p, 1, names);

	wish_check(skb, p);
	/* A datagram to another address is checked, too, and begins no flow. */
	return p && p->wish && kind != DATAGRAM_UNREADABLE ? DATAGRAM_OWN : kind;
}

__noinline int udp_read_received(struct __sk_buff *skb, struct passage *p)
{
	int kind = read_datagram(skb, p, 0, NULL);

	wish_check(skb, p);
	return kind;
}

/*
 * Stores the flow with the socket from its first packet on: if the latch is closed later, the
 * socket stays blocked. The latch may belong to another socket with the same flow.
 */
static __always_inline void remember_flow(struct datagram_socket *socket, const struct passage *p)
{
	struct latch *latch;

	if (socket->verdict.was_latched && same_flow(&socket->flow, &p->flow))
		return;
	socket->flow = p->flow;
	latch = latch_find(&p->flow);
	if (latch)
		met_latch(&socket->verdict, &p->flow, latch);
}

/*
 * Inside ESP, a datagram to another address looks like a datagram to the connected peer. So does
 * a datagram from before the last connect(). Only received datagrams prove the flow then.
 */
static __always_inline int proves_flow(const struct sk_buff *skb, struct bpf_sock *sk,
				       const struct datagram_socket *socket)
{
	return !(socket && socket->sends_elsewhere) &&
	       is_of_present_connection(skb, kernel_socket(sk));
}

/*
 * The datagram belongs to a former connection with a deleted latch, and the present
 * connection has no latch that could check it. Data belongs to the latch of its own
 * connection (RFC 5660 section 5.2).
 */
static __always_inline int lost_its_latch(const struct sk_buff *skb, struct bpf_sock *sk,
					  const struct datagram_socket *socket)
{
	return socket && socket->was_released && !socket->verdict.was_latched &&
	       is_of_former_connection(skb, kernel_socket(sk));
}

/*
 * Another CPU may have passed a datagram in clear before the latch existed. That datagram is in a
 * queue by now, or is this one. A datagram between the gate and the queue is not seen: latch(7).
 */
static __always_inline void look_again(const struct passage *p, struct bpf_sock *sk, int verdict)
{
	int in_clear = !p->egress && p->protection == PACKET_PLAIN;
	struct latch *latch;

	if (!p->begins || (in_clear && verdict != GATE_PASS))
		return;
	/* Another CPU remembers a pass in clear before it looks for the latch. */
	full_barrier();
	if (!in_clear && !has_queued_datagrams(kernel_socket(sk)) && !has_received_in_clear(sk))
		return;
	latch = latch_find(&p->flow);
	if (latch && READ_ONCE(latch->socket_cookie) == p->socket_cookie)
		WRITE_ONCE(latch->unproven, latch->unproven | LATCH_UNPROVEN_EARLIER);
}

static __always_inline int check_datagram(struct __sk_buff *skb, struct bpf_sock *sk,
					  struct datagram_socket *socket, struct passage *p,
					  int egress)
{
	struct socket_verdict *v;
	int verdict, leaves = LEAVES;

	v = socket ? &socket->verdict : NULL;
	if (egress)
		leaves = comes_back(skb, p, v);
	if (leaves == COMES_BACK)
		return GATE_PASS;
	if (!socket && p->protection != PACKET_PLAIN) {
		socket = datagram_socket_new(sk);
		if (!socket)
			return drop_unread(LATCH_DROP_LATCHES_FULL, p, NULL);
	}
	if (egress && !proves_flow(kernel_packet(skb), sk, socket))
		p->may_start = 0;
	v = socket ? &socket->verdict : NULL;
	verdict = leaves ? check_packet(p, v) : check_and_remember(skb, p, v);
	look_again(p, sk, verdict);
	if (verdict == GATE_PASS && p->begins && socket)
		verdict = wish_look_again(skb, p, socket);
	if (p->audited && p->begins)
		audit_begin(p,
			    is_foreign(BPF_CORE_READ(kernel_socket(sk), __sk_common.skc_net.net)));
	if (!socket && (verdict != GATE_PASS || p->refused))
		socket = datagram_socket_new(sk);
	if (socket)
		remember_flow(socket, p);
	return verdict;
}

/* For send() a datagram of a waiting flow is sent and lost (R-2-15). A refused datagram gets
 * EPERM. */
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
 * Datagrams to a tunnel device, which comes_back() notes, count for their connection only.
 * Returns the socket's state, which a datagram to such a device creates.
 */
static __always_inline struct datagram_socket *remember_tunnelled(struct __sk_buff *skb,
								  struct bpf_sock *sk,
								  struct datagram_socket *socket,
								  const struct passage *p)
{
	if (socket && socket->verdict.tunnelled && !same_flow(&socket->flow, &p->flow))
		socket->verdict.tunnelled = 0;
	if (p->protection != PACKET_PLAIN || !leaves_by_tunnel(skb))
		return socket;
	if (!socket)
		socket = datagram_socket_new(sk);
	if (socket)
		remember_flow(socket, p);
	return socket;
}

/* A datagram of a socket that is not connected, which no latch checks. */
static __always_inline int gate_loose(struct __sk_buff *skb, struct bpf_sock *sk, struct passage *p,
				      const struct datagram_socket *socket, int egress)
{
	if (!socket)
		return GATE_PASS;
	if (READ_ONCE(socket->wished) != WISHED_DATAGRAMS)
		return wish_check_loose(p, socket);
	p->enforced = 1;
	p->protection = PACKET_MALFORMED; /* unless it can be read */
	p->flow.netns = netns_of_kernel_socket(kernel_socket(sk));
	if (egress)
		udp_read_sent(skb, p, NULL);
	else
		udp_read_received(skb, p);
	/* With source NAT or an xfrm interface the first pass is in clear, the second as ESP. */
	if (egress && p->protection == PACKET_PLAIN && comes_back(skb, p, NULL) == COMES_BACK)
		return GATE_PASS;
	return wish_check_datagram(p);
}

/*
 * A datagram of a connected socket belongs to its connection, with any destination in its
 * header. Destination NAT, a source route or a routing header may change that destination. The
 * exception is a datagram for which the application has named another address. The sending task
 * identifies such a datagram. After a queue (NFQUEUE), or with several threads, only the header
 * does.
 *
 * A datagram that a connected socket receives from another address is checked, too, but creates
 * no latch. A socket that is not connected has no flow, and its datagrams pass, unless it has a
 * wish.
 */
static __always_inline int gate_udp(struct __sk_buff *skb, struct bpf_sock *sk, struct passage *p,
				    int egress)
{
	struct datagram_socket *socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	struct sock *kernel_sk = kernel_socket(sk);
	int connected = is_connected(sk), elsewhere = DATAGRAM_NAMED, kind;
	struct named_ends *names = NULL;

	if (connected)
		flow_of_socket(sk, netns_of_kernel_socket(kernel_sk), &p->flow);
	if (socket && socket->verdict.was_latched && !same_flow(&socket->flow, &p->flow))
		datagram_release_latch(socket, p->socket_cookie);
	if (!connected)
		return gate_loose(skb, sk, p, socket, egress);
	if (egress && socket && socket->sends_elsewhere)
		names = bpf_sk_storage_get(&named_ends, sk, NULL, 0);
	/* The header of a datagram with a named address may be rewritten, too. */
	if (names && take_name(names))
		elsewhere = DATAGRAM_REWRITTEN;
	if (egress && lost_its_latch(kernel_packet(skb), sk, socket)) {
		p->enforced =
			socket->wished | !latch_mode_passes(mode_get(), socket->released_mode);
		return drop(LATCH_DROP_CLOSED, p, NULL);
	}
	kind = egress ? udp_read_sent(skb, p, names) : udp_read_received(skb, p);
	if (kind < DATAGRAM_NAMED)
		return drop_unread(LATCH_DROP_MALFORMED, p, socket ? &socket->verdict : NULL);
	if (kind <= elsewhere)
		return GATE_PASS;
	p->tcp_state = sk->state;
	p->queued = has_queued_datagrams(kernel_sk) || has_received_in_clear(sk);
	if (egress)
		socket = remember_tunnelled(skb, sk, socket, p);
	return check_datagram(skb, sk, socket, p, egress);
}

#endif
