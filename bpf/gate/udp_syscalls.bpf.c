/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a UDP socket's owner does with it, as far as its latch must know: connects it
 * to the same peer again, sends elsewhere, closes it. A socket that connects to
 * another peer, or to none, the gate notices by itself, but not before that is done:
 * a connect() that fails leaves the connection as it was.
 */
#include "gate/udp_socket.h"

static __always_inline struct datagram_socket *socket_of(struct bpf_sock_addr *ctx, __u64 flags)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || sk->protocol != IPPROTO_UDP_NUMBER)
		return NULL;
	return bpf_sk_storage_get(&datagram_sockets, sk, NULL, flags);
}

/* Its addresses, as in a latch's flow: only the remote end counts. */
static __always_inline void remote_of(struct bpf_sock_addr *ctx, int v6, struct latch_flow *flow)
{
	__u32 address[4] = {};

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->remote_port = bpf_ntohs(ctx->user_port);
	flow->family = AF_INET;
	if (v6) {
		address[0] = ctx->user_ip6[0];
		address[1] = ctx->user_ip6[1];
		address[2] = ctx->user_ip6[2];
		address[3] = ctx->user_ip6[3];
	} else {
		address[0] = ctx->user_ip4;
	}
	if (v6 && address_is_mapped(address)) {
		__builtin_memcpy(flow->remote_addr, &address[3], 4);
		return;
	}
	flow->family = v6 ? AF_INET6 : AF_INET;
	__builtin_memcpy(flow->remote_addr, address, 16);
}

static __always_inline int same_remote(const struct latch_flow *one, const struct latch_flow *other)
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, one->remote_addr, 16);
	__builtin_memcpy(b, other->remote_addr, 16);
	return one->family == other->family && one->remote_port == other->remote_port &&
	       same_bytes(a, b, 16);
}

static __always_inline int is_connected_to(struct bpf_sock *sk, const struct latch_flow *there)
{
	struct latch_flow now;

	if (!sk || !is_connected(sk))
		return 0;
	flow_of_socket(sk, 0, &now);
	return same_remote(&now, there);
}

/*
 * To the peer that it had before: a connection that begins anew, and could not be told
 * from the old one. While it still is connected with that peer, this may yet fail, and
 * then the connection goes on: to the same peer again it is the same one.
 */
static __always_inline int handle_connect(struct bpf_sock_addr *ctx, int v6)
{
	struct datagram_socket *socket = socket_of(ctx, 0);
	struct latch_flow there;

	if (!socket)
		return 1;
	remote_of(ctx, v6, &there);
	if (same_remote(&socket->flow, &there) && !is_connected_to(ctx->sk, &there))
		datagram_release_latch(socket, bpf_get_socket_cookie(ctx));
	return 1;
}

/* To an address that the caller names: behind XFRM nobody could tell such a datagram any more. */
static __always_inline int handle_sendmsg(struct bpf_sock_addr *ctx, int v6)
{
	struct datagram_socket *socket;
	struct bpf_sock *sk = ctx->sk;
	struct latch_flow there;

	if (!sk || sk->protocol != IPPROTO_UDP_NUMBER || !is_connected(sk))
		return 1;
	remote_of(ctx, v6, &there);
	if (is_connected_to(sk, &there))
		return 1;
	socket = socket_of(ctx, BPF_SK_STORAGE_GET_F_CREATE);
	/* Unmarked it could give its own connection another peer's latch. */
	if (!socket)
		return 0;
	socket->sends_elsewhere = 1;
	return 1;
}

SEC("cgroup/connect4")
int datagram_connect4(struct bpf_sock_addr *ctx)
{
	return handle_connect(ctx, 0);
}

SEC("cgroup/connect6")
int datagram_connect6(struct bpf_sock_addr *ctx)
{
	return handle_connect(ctx, 1);
}

SEC("cgroup/sendmsg4")
int datagram_send4(struct bpf_sock_addr *ctx)
{
	return handle_sendmsg(ctx, 0);
}

SEC("cgroup/sendmsg6")
int datagram_send6(struct bpf_sock_addr *ctx)
{
	return handle_sendmsg(ctx, 1);
}
