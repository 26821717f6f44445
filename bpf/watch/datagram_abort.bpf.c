/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SOCK_DESTROY of a UDP socket, as after a break. It disconnects the socket, and latchd later
 * finds the latch without a socket. So the socket first gets a copy of the latch.
 */
#include "db/past.h"
#include "packet/same_flow.h"
#include "packet/socket_flow.h"

static __always_inline int is_owner(const struct latch *latch, struct sock *sk)
{
	__u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);

	return cookie && READ_ONCE(latch->socket_cookie) == cookie;
}

/* Between a connect() and its next packet the socket still has the flow of its former
 * connection. */
static __always_inline void keep_past(struct sock *sk, const struct datagram_socket *socket)
{
	struct latch_flow flow;
	struct socket_past *past;
	struct latch *latch;
	__u64 id = 0;

	flow_of_kernel_socket(sk, netns_of_kernel_socket(sk), &flow);
	if (!same_flow(&flow, &socket->flow))
		return;
	latch = latch_read(&flow, &id);
	if (!latch || !is_owner(latch, sk))
		return;
	past = bpf_sk_storage_get(&pasts, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!past)
		return;
	past_fill(past, &flow, latch, id);
	past->aborted = 1;
	past->peer_ended = 0;
	past_note_close(past, latch);
}

SEC("fentry/udp_abort")
int BPF_PROG(watch_datagram_abort, struct sock *sk)
{
	struct datagram_socket *socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);

	if (socket && !answers_are_off())
		keep_past(sk, socket);
	return 0;
}
