/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LATCH_OPT_NEWS: subscribes a socket to a connection at latchd's socket. The caller shows the
 * token of the connection, and no call tells it: the holder of the socket only learns whether there
 * are news. The kernel holds the lock of the socket.
 */
#ifndef LATCH_BPF_API_NEWS_OPTION_H
#define LATCH_BPF_API_NEWS_OPTION_H

#include "api/errors.h"
#include "db/news.h"
#include "packet/socket_flow.h"

/* 0: the kernel has given it none yet, and this kind of program cannot ask for one. */
static __always_inline __u64 cookie_of_socket(struct bpf_sock *sk)
{
	return BPF_CORE_READ(kernel_socket(sk), __sk_common.skc_cookie.counter);
}

static OWN_FRAME int has_news(struct bpf_sock *sk)
{
	struct latch_subscription unused = {};

	return sk && news_find(cookie_of_socket(sk), &unused) && news_sockets_of(&unused.token);
}

static __always_inline int read_subscribe(const struct bpf_sockopt *ctx,
					  struct latch_subscription *ret)
{
	const struct latch_subscribe *value = ctx->optval;

	if (ctx->optlen != sizeof(*value) || (const void *)(value + 1) > ctx->optval_end ||
	    value->size != sizeof(*value) || value->pad)
		return -EINVAL;
	__builtin_memcpy(&ret->token, value->token, sizeof(ret->token));
	ret->data = value->data;
	return 0;
}

/*
 * A new element replaces the old one: a connection may arrive at a listener meanwhile, and its
 * socket gets a copy of either.
 */
static OWN_FRAME int keep_subscription(struct bpf_sock *sk, struct latch_subscription *wanted)
{
	if (!sk)
		return -EINVAL;
	bpf_sk_storage_delete(&subscriptions, sk);
	return bpf_sk_storage_get(&subscriptions, sk, wanted, BPF_SK_STORAGE_GET_F_CREATE)
		       ? 0
		       : -ENOMEM;
}

static OWN_FRAME int drop_subscription(struct bpf_sock *sk, __u64 cookie)
{
	if (sk)
		bpf_sk_storage_delete(&subscriptions, sk);
	return news_unsubscribe(cookie);
}

/* The same connection with other data: a full share is no obstacle. */
static OWN_FRAME int change_data(__u64 cookie, const struct latch_subscription *wanted)
{
	struct latch_subscription value = *wanted;

	return bpf_map_update_elem(&news_sockets, &cookie, &value, BPF_EXIST) ? -ENOMEM : 0;
}

/* Takes the place in the share first, so that a refusal changes nothing. */
static OWN_FRAME int move_subscription(__u64 cookie, const struct latch_subscription *wanted)
{
	struct latch_subscription value = *wanted;
	__u64 *sockets = news_sockets_of(&value.token);

	if (!sockets)
		return -ENOENT;
	if (!quota_take(sockets, LATCH_SUBSCRIBER_SOCKETS))
		return -ENOSPC;
	news_unsubscribe(cookie);
	if (!bpf_map_update_elem(&news_sockets, &cookie, &value, BPF_NOEXIST))
		return 0;
	quota_give(sockets);
	return -ENOMEM;
}

static OWN_FRAME int subscribe(struct bpf_sock *sk, __u64 cookie, struct latch_subscription *wanted)
{
	struct latch_subscription has = {};
	int err;

	if (!news_sockets_of(&wanted->token))
		return -ENOENT;
	if (news_find(cookie, &has) && is_same_token(&has.token, &wanted->token))
		err = change_data(cookie, wanted);
	else
		err = move_subscription(cookie, wanted);
	if (!err)
		err = keep_subscription(sk, wanted);
	if (err == -ENOMEM)
		drop_subscription(sk, cookie);
	return err;
}

/* 0 or a negative errno. */
static __always_inline int set_news(const struct bpf_sockopt *ctx, struct bpf_sock *sk)
{
	struct latch_subscription wanted = {};
	__u64 cookie = cookie_of_socket(sk);
	int err = read_subscribe(ctx, &wanted);

	if (err)
		return err;
	if (!wanted.token.words[0] && !wanted.token.words[1])
		return drop_subscription(sk, cookie);
	return cookie ? subscribe(sk, cookie, &wanted) : -ENODATA;
}

#endif
