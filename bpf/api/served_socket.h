/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sockets that are served, and the calls that are left to the kernel: latch_sockopt.h. */
#ifndef LATCH_BPF_API_SERVED_SOCKET_H
#define LATCH_BPF_API_SERVED_SOCKET_H

#include "db/past.h"

#define SOCK_STREAM_TYPE 1 /* linux/net.h */
#define SOCK_DGRAM_TYPE	 2

/*
 * The kernel shows at most a page. It fails a value that is longer than that (of getsockopt() on
 * Linux 6.1), and an answer longer than the caller's buffer (EFAULT), unless optlen is 0. Some
 * options return the length that they need.
 */
static __always_inline void leave_alone(struct bpf_sockopt *ctx)
{
	__s64 shown = ctx->optval_end - ctx->optval;

	if (ctx->optlen > shown)
		ctx->optlen = 0;
}

static __always_inline int is_tcp(const struct bpf_sock *sk)
{
	return sk->type == SOCK_STREAM_TYPE && sk->protocol == IPPROTO_TCP_NUMBER;
}

/* A raw socket may have the same protocol. */
static __always_inline int is_udp(const struct bpf_sock *sk)
{
	return sk->type == SOCK_DGRAM_TYPE && sk->protocol == IPPROTO_UDP_NUMBER;
}

static __always_inline int is_served(const struct bpf_sock *sk)
{
	return (sk->family == AF_INET || sk->family == AF_INET6) && (is_tcp(sk) || is_udp(sk));
}

static __always_inline int is_wish(int option)
{
	return (option >= LATCH_OPT_REQUIRE && option <= LATCH_OPT_EXPECT_TAG &&
		option != LATCH_OPT_NARROW) ||
	       option == LATCH_OPT_DATAGRAMS;
}

/* The call is of this interface, and the socket is served. */
static __always_inline int is_ours(const struct bpf_sockopt *ctx, const struct bpf_sock *sk)
{
	return ctx->level == SOL_LATCH && !answers_are_off() && is_served(sk);
}

#endif
