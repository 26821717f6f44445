/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * setsockopt() of level SOL_LATCH: an application wishes who is at the other end of its socket, and
 * how it is protected (R-2.3-16, R-2.3-17; latch_sockopt.h). A wish adds to the rules, and takes
 * nothing from them, so it needs no privilege. Less than the rules say does (R-2-11). The gate
 * keeps the wishes: gate/wish.h.
 *
 * The kernel holds the lock of the socket. Whatever cannot be kept is not accepted.
 */
#include "api/errors.h"
#include "api/news_option.h"
#include "api/served_socket.h"
#include "db/datagram_latch.h"
#include "db/epochs.h"
#include "db/forget_passes.h"
#include "db/read_once.h"
#include "packet/datagram_queue.h"
#include "packet/socket_flow.h"

#define LEAST_MAX 64 /* of struct latch_least, whose later members may be 0 here */

struct wished_text {
	const __u8 *from;
	const void *end; /* of the caller's value */
	char *to;
	__u32 length; /* of the text */
	__u32 size;   /* of the place for it */
	__u32 is_tag;
	int err;
};

/* ---- texts: a callback is verified once, see answer_text.h */

/* The bytes of NAME in [peer NAME], as latchd reads it. */
static __always_inline int is_of_name(__u8 byte, __u32 at)
{
	__u8 letter = byte | 0x20;

	return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
	       byte == '_' || (byte == '-' && at);
}

/* Non-zero ends the loop. A NUL would end the text for others. */
static long check_byte(__u32 i, struct wished_text *text)
{
	const __u8 *from = text->from;

	if (i >= LATCH_ID_TEXT_MAX || i >= text->length)
		return 1;
	from += i;
	if ((const void *)(from + 1) > text->end || (text->is_tag && !is_of_name(*from, i)) ||
	    !*from) {
		text->err = -EINVAL;
		return 1;
	}
	return 0;
}

/* Fills the place behind the text with zeros. */
static long write_byte(__u32 i, struct wished_text *text)
{
	const __u8 *from = text->from;
	char *to = text->to, byte = 0;

	if (i >= LATCH_ID_TEXT_MAX || i >= text->size)
		return 1;
	from += i;
	if (i < text->length && (const void *)(from + 1) <= text->end)
		byte = *from;
	to[i] = byte;
	return 0;
}

/* Behind the members that this host knows. */
static long check_zero(__u32 i, struct wished_text *text)
{
	const __u8 *from = text->from;

	if (i >= LEAST_MAX || i >= text->length)
		return 1;
	from += i;
	if ((const void *)(from + 1) > text->end || *from) {
		text->err = -EINVAL;
		return 1;
	}
	return 0;
}

/* ---- values */

static __always_inline int read_number(const struct bpf_sockopt *ctx, __s32 last, __s32 *ret)
{
	const __s32 *value = ctx->optval;

	if (ctx->optlen != sizeof(*value) || (const void *)(value + 1) > ctx->optval_end)
		return -EINVAL;
	*ret = *value;
	return *ret < 0 || *ret > last ? -EINVAL : 0;
}

/* A program of a later header: what this host does not know has to be 0. */
static __always_inline int has_zeros_behind(const struct bpf_sockopt *ctx,
					    const struct latch_least *value)
{
	struct wished_text text = {.from = (const __u8 *)(value + 1), .end = ctx->optval_end};

	text.length = ctx->optlen - sizeof(*value);
	bpf_loop(LEAST_MAX, check_zero, &text, 0);
	return !text.err;
}

static __always_inline int read_least(const struct bpf_sockopt *ctx, struct latch_least *ret)
{
	const struct latch_least *value = ctx->optval;

	if (ctx->optlen < (__s32)sizeof(*value) || ctx->optlen > LEAST_MAX ||
	    (const void *)(value + 1) > ctx->optval_end)
		return -EINVAL;
	*ret = *value;
	if (ret->size != (__u32)ctx->optlen || !has_zeros_behind(ctx, value))
		return -EINVAL;
	ret->size = sizeof(*ret);
	return ret->confidential > 1 || ret->replay_protection > 1 || ret->esn > 1 || ret->pad
		       ? -EINVAL
		       : 0;
}

static __always_inline int asks_for_nothing(const struct latch_least *least)
{
	return !least->encryption_bits && !least->icv_bits && !least->confidential &&
	       !least->replay_protection && !least->esn;
}

/* ---- the caller */

#define CAP_NET_ADMIN_BIT 12 /* linux/capability.h */

/* The capabilities are one word of 64 bits, since Linux 6.3 in another type. */
static __always_inline int is_privileged(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	const struct cred *cred = BPF_CORE_READ(task, cred);
	__u64 effective = 0;

	if (bpf_core_read(&effective, sizeof(effective), &cred->cap_effective))
		return 0;
	return effective >> CAP_NET_ADMIN_BIT & 1 && !BPF_CORE_READ(cred, user_ns, level);
}

/* ---- the socket */

static __always_inline void set_term(struct socket_wish *wish, enum wish_term term, int is_set)
{
	wish->terms = is_set ? wish->terms | term : wish->terms & ~term;
}

/* The gate may read the wishes of a UDP socket meanwhile: it does not take the lock. */
static __always_inline void begin_change(struct socket_wish *wish)
{
	WRITE_ONCE(wish->changes, wish->changes + 1);
	full_barrier();
}

static __always_inline void end_change(struct socket_wish *wish)
{
	full_barrier();
	WRITE_ONCE(wish->changes, wish->changes + 1);
}

/* NULL: the memory of the socket for options is full, or memory is short. */
static __always_inline struct socket_wish *wish_of(struct bpf_sock *sk,
						   struct datagram_socket **ret_datagrams)
{
	*ret_datagrams = NULL;
	if (sk->type == SOCK_DGRAM_TYPE) {
		*ret_datagrams = bpf_sk_storage_get(&datagram_sockets, sk, NULL,
						    BPF_SK_STORAGE_GET_F_CREATE);
		if (!*ret_datagrams)
			return NULL;
	}
	return bpf_sk_storage_get(&wishes, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

/*
 * A check under way finds the new wish behind its pass, or its pass is dropped here. The hook of
 * connect() comes too early: a thread may send by the former connection after it.
 */
static __always_inline void forget_unwished(struct bpf_sock *sk)
{
	full_barrier();
	forget_passes(sk);
}

/*
 * The latch of the former connection was made by other wishes. A connect() that had begun before
 * the disconnect may return to its peer, and found the socket still connected there.
 */
static __always_inline void end_former(struct bpf_sock *sk, struct datagram_socket *datagrams)
{
	struct sock *kernel_sk = kernel_socket(sk);

	if (datagrams->verdict.was_latched)
		datagram_release_latch(datagrams,
				       BPF_CORE_READ(kernel_sk, __sk_common.skc_cookie.counter));
}

/* ---- the options. Each reads its value before it changes anything. */

static __always_inline int set_number(const struct bpf_sockopt *ctx, struct socket_wish *wish)
{
	__s32 value = 0;
	int err;

	switch (ctx->optname) {
	case LATCH_OPT_REQUIRE:
		err = read_number(ctx, 1, &value);
		if (!err)
			set_term(wish, WISH_REQUIRE, value);
		return err;
	case LATCH_OPT_EXPECT_CLASS:
		err = read_number(ctx, LATCH_CLASS_EAP, &value);
		if (err)
			return err;
		wish->class = value;
		set_term(wish, WISH_CLASS, value);
		return 0;
	case LATCH_OPT_DATAGRAMS:
		err = read_number(ctx, 1, &value);
		if (!err)
			set_term(wish, WISH_DATAGRAMS, value);
		return err;
	}
	if (ctx->optname == LATCH_OPT_PROTECTION) {
		err = read_number(ctx, LATCH_PROTECTION_BYPASS, &value);
		if (!err && value && !is_privileged())
			err = -EPERM;
		if (!err)
			set_term(wish, WISH_BYPASS, value);
		return err;
	}
	err = read_number(ctx, LATCH_DISPOSE_UNREACHABLE, &value);
	if (err)
		return err;
	wish->disposition = value;
	set_term(wish, WISH_DISPOSITION, value);
	return 0;
}

static __always_inline int set_quality(const struct bpf_sockopt *ctx, struct socket_wish *wish)
{
	struct latch_least least;
	int err = read_least(ctx, &least);

	if (err)
		return err;
	wish->least = least;
	set_term(wish, WISH_QUALITY, !asks_for_nothing(&least));
	return 0;
}

static __always_inline int set_text(const struct bpf_sockopt *ctx, struct socket_wish *wish)
{
	struct wished_text text = {.from = ctx->optval, .end = ctx->optval_end};
	enum wish_term term = WISH_PEER;

	text.to = wish->peer;
	text.size = sizeof(wish->peer);
	if (ctx->optname == LATCH_OPT_EXPECT_CONNECTION) {
		text.to = wish->connection;
		text.size = sizeof(wish->connection);
		term = WISH_CONNECTION;
	} else if (ctx->optname == LATCH_OPT_EXPECT_TAG) {
		text.to = wish->tag;
		text.size = sizeof(wish->tag);
		text.is_tag = 1;
		term = WISH_TAG;
	} else if (ctx->optname == LATCH_OPT_EXPECT_LOCAL) {
		text.to = wish->local;
		term = WISH_LOCAL;
	}
	if (ctx->optlen < 0 || ctx->optlen >= (__s32)text.size)
		return -EINVAL;
	text.length = ctx->optlen;
	bpf_loop(LATCH_ID_TEXT_MAX, check_byte, &text, 0);
	if (text.err)
		return text.err;
	bpf_loop(LATCH_ID_TEXT_MAX, write_byte, &text, 0);
	set_term(wish, term, text.length);
	return 0;
}

static __always_inline int set_option(const struct bpf_sockopt *ctx, struct socket_wish *wish)
{
	switch (ctx->optname) {
	case LATCH_OPT_EXPECT_PEER:
	case LATCH_OPT_EXPECT_CONNECTION:
	case LATCH_OPT_EXPECT_LOCAL:
	case LATCH_OPT_EXPECT_TAG:
		return set_text(ctx, wish);
	case LATCH_OPT_EXPECT_QUALITY:
		return set_quality(ctx, wish);
	}
	return set_number(ctx, wish);
}

static __always_inline enum wished wished_of(const struct socket_wish *wish)
{
	if (!(wish->terms & WISH_MORE))
		return WISHED_NOTHING;
	return wish->terms & WISH_DATAGRAMS ? WISHED_DATAGRAMS : WISHED_SILENCE;
}

/* Earlier wishes, or none, have admitted the datagrams in the queue. */
static __always_inline int comes_too_late(struct bpf_sock *sk, int option,
					  const struct datagram_socket *datagrams)
{
	return datagrams && option != LATCH_OPT_PROTECTION &&
	       has_queued_datagrams(kernel_socket(sk));
}

/* 0 or a negative errno. */
static __always_inline int wish(const struct bpf_sockopt *ctx, struct bpf_sock *sk)
{
	struct datagram_socket *datagrams;
	struct socket_wish *wish;
	int err;

	if (!is_wish(ctx->optname))
		return -ENOSYS;
	/* Also the state of a UDP socket that is not connected. */
	if (sk->state != BPF_TCP_CLOSE)
		return -EISCONN;
	wish = wish_of(sk, &datagrams);
	if (!wish)
		return -ENOMEM;
	if (ctx->optname == LATCH_OPT_DATAGRAMS && !datagrams)
		return -EINVAL;
	if (comes_too_late(sk, ctx->optname, datagrams))
		return -EISCONN;
	begin_change(wish);
	err = set_option(ctx, wish);
	if (!err)
		wish->failed = LATCH_WHY_NONE;
	if (datagrams)
		WRITE_ONCE(datagrams->wished, wished_of(wish));
	end_change(wish);
	if (datagrams && !err) {
		forget_unwished(sk);
		end_former(sk, datagrams);
	}
	return err;
}

SEC("cgroup/setsockopt")
int option_set(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	int err;

	if (!sk || !is_ours(ctx, sk)) {
		leave_alone(ctx);
		return 1;
	}
	err = ctx->optname == LATCH_OPT_NEWS ? set_news(ctx, sk) : wish(ctx, sk);
	if (err) {
		bpf_set_retval(err);
		return 0;
	}
	ctx->optlen = -1; /* the kernel does not look for the option */
	return 1;
}
