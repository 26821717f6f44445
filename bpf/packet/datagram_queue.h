/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Datagrams that a UDP socket has received, and the application has not read. */
#ifndef LATCH_BPF_PACKET_DATAGRAM_QUEUE_H
#define LATCH_BPF_PACKET_DATAGRAM_QUEUE_H

/*
 * Datagrams that passed before this packet, in clear or unconnected, prove no peer. recvmsg() has
 * a second queue, reader_queue. sk_rmem_alloc does not serve, since it counts sk_error_queue,
 * too. Linux 6.18 has a third one before these, udp_prod_queue, for each NUMA node. A datagram is
 * there while another CPU has the lock of sk_receive_queue, and is not seen: as one on its way from
 * the gate to the queue.
 */
static __always_inline int has_queued_datagrams(const struct sock *sk)
{
	const struct udp_sock *udp = (const struct udp_sock *)sk;

	return BPF_CORE_READ(sk, sk_receive_queue.qlen) || BPF_CORE_READ(udp, reader_queue.qlen);
}

#endif
