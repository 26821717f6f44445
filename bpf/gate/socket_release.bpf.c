/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Releases latches when a socket is closed without a sockops callback: UDP sockets, and TCP
 * listeners older than the programs. Ends the news of each socket.
 */
#include "db/listener.h"
#include "db/news.h"
#include "gate/udp_socket.h"

/* A listener older than the programs gets no callback. */
static __always_inline void listener_released(struct bpf_sock *sk)
{
	struct sock *kernel_sk = kernel_socket(sk);
	struct latch_flow flow;

	flow_of_kernel_listener(kernel_sk, netns_of_kernel_socket(kernel_sk), &flow);
	listener_leave(&flow);
}

SEC("cgroup/sock_release")
int socket_released(struct bpf_sock *sk)
{
	struct datagram_socket *socket;
	struct socket_verdict *verdict;

	if (bpf_sk_storage_get(&subscriptions, sk, NULL, 0))
		news_unsubscribe(bpf_get_socket_cookie(sk));
	if (sk->protocol == IPPROTO_UDP_NUMBER) {
		socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
		if (socket)
			datagram_release_latch(socket, bpf_get_socket_cookie(sk));
	} else if (sk->protocol == IPPROTO_TCP_NUMBER && sk->state == BPF_TCP_LISTEN) {
		verdict = bpf_sk_storage_get(&verdicts, sk, NULL, 0);
		if (!verdict || !verdict->listens)
			listener_released(sk);
	}
	return 1;
}
