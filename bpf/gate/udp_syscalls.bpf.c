/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls of UDP sockets that the gate cannot notice: a connect() to the same peer, and a
 * sendmsg() to another address. The gate itself notices a connect() to another peer or to none,
 * after it has succeeded. A connect() that fails leaves the connection as it was.
 */
#include "db/epochs.h"
#include "db/forget_passes.h"
#include "gate/named_ends.h"
#include "gate/udp_socket.h"

/* The address of the call, in the form of a latch's flow. Only the remote end is set. */
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

/* The reason is of the former connection. */
static __always_inline void forget_failure(struct bpf_sock *sk)
{
	struct socket_wish *wish = bpf_sk_storage_get(&wishes, sk, NULL, 0);

	if (wish)
		WRITE_ONCE(wish->failed, LATCH_WHY_NONE);
}

/*
 * A connect() to the peer of the former connection starts a new connection, which the gate could
 * not distinguish from the former one. While the socket is still connected to that peer, the call
 * may fail or connect to the same peer. Both leave the connection as it was.
 *
 * The socket may return to a peer for which it remembers a pass. The new connection needs its own
 * check. No hook reports a disconnect, but an unconnected socket has no steady flow.
 */
static __always_inline int handle_connect(struct bpf_sock_addr *ctx, int v6)
{
	struct datagram_socket *socket;
	struct bpf_sock *sk = ctx->sk;
	struct latch_flow there;

	if (!sk || sk->protocol != IPPROTO_UDP_NUMBER)
		return 1;
	forget_passes(sk);
	bpf_sk_storage_delete(&pasts, sk);
	forget_failure(sk);
	socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	if (!socket)
		return 1;
	remote_of(ctx, v6, &there);
	if (same_remote(&socket->flow, &there) && !is_connected_to(sk, &there))
		datagram_release_latch(socket, bpf_get_socket_cookie(ctx));
	return 1;
}

/* Datagrams with earlier names of this task did not reach the gate. */
static __always_inline int forget_names(struct bpf_sock *sk)
{
	struct named_ends *names = bpf_sk_storage_get(&named_ends, sk, NULL, 0);

	if (names)
		take_name(names);
	return 1;
}

/*
 * The gate has to take the name of each datagram, so remembered passes are dropped. Two threads
 * may name their first addresses at once: each sends its datagram only after this step. A check
 * under way finds sends_elsewhere, or its pass is dropped here. This needs the full barrier
 * between the two steps.
 */
static __always_inline void begin_to_send_elsewhere(struct bpf_sock *sk,
						    struct datagram_socket *socket)
{
	WRITE_ONCE(socket->sends_elsewhere, 1);
	full_barrier();
	forget_pass(&passed_out, sk);
	full_barrier();
	WRITE_ONCE(socket->passes_forgotten, 1);
}

/*
 * A datagram to an address that the caller names. After XFRM it looks like a datagram to the
 * connected peer. The program also runs for a control message without an address: the port is
 * then 0, which no call can name.
 */
static __always_inline int handle_sendmsg(struct bpf_sock_addr *ctx, int v6)
{
	struct datagram_socket *socket;
	struct bpf_sock *sk = ctx->sk;
	struct named_ends *names;
	struct latch_flow there;

	if (!sk || sk->protocol != IPPROTO_UDP_NUMBER || !is_connected(sk))
		return 1;
	remote_of(ctx, v6, &there);
	if (!there.remote_port || is_connected_to(sk, &there))
		return forget_names(sk);
	socket = datagram_socket_new(sk);
	/* Without this state the datagram could latch the socket's connection to another peer. */
	if (!socket)
		return 0;
	if (!READ_ONCE(socket->passes_forgotten))
		begin_to_send_elsewhere(sk, socket);
	names = bpf_sk_storage_get(&named_ends, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!names)
		return 0;
	add_name(names, &there);
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
