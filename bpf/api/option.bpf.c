/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * getsockopt() of level SOL_LATCH: the options that an application may read of its own socket
 * (latch_sockopt.h). The kernel has called the protocol before, and retval is its error.
 */
#include "api/answer_info.h"
#include "api/answer_tags.h"
#include "api/answer_party.h"
#include "api/answer_text.h"
#include "api/answer_wish.h"
#include "api/news_option.h"
#include "api/served_socket.h"

static __always_inline int answer_state(struct bpf_sockopt *ctx, const struct subject *s)
{
	struct latch_answer status = {};
	__s32 *to = ctx->optval;

	if ((void *)(to + 1) > ctx->optval_end)
		return -EINVAL;
	status_of(s, &status);
	*to = s->kind != SUBJECT_LATCH || is_still_there(s) ? status.state : LATCH_APP_CLOSED;
	return sizeof(*to);
}

/* Returns the length of the answer, or a negative errno. */
static __always_inline int answer(struct bpf_sockopt *ctx, struct bpf_sock *sk)
{
	struct sock *kernel_sk = kernel_socket(sk);
	struct latch_info *info = ctx->optval;
	int option = ctx->optname;
	struct subject s = {};

	if (is_wish(option))
		return answer_wish(ctx->optval, ctx->optval_end, option,
				   bpf_sk_storage_get(&wishes, sk, NULL, 0));
	if (option == LATCH_OPT_NEWS)
		return put_wish_number(ctx->optval, ctx->optval_end, has_news(sk));
	if ((option < LATCH_OPT_STATE || option > LATCH_OPT_BINDING) && option != LATCH_OPT_TAGS)
		return -ENOSYS;
	if (is_tcp(sk))
		find_tcp(&s, sk, kernel_sk);
	else
		find_udp(&s, sk, kernel_sk);
	if (option == LATCH_OPT_STATE)
		return answer_state(ctx, &s);
	if (option == LATCH_OPT_TAGS)
		return answer_tags(ctx->optval, ctx->optval_end, &s);
	if (option > LATCH_OPT_CONNECTION)
		return answer_party(ctx->optval, ctx->optval_end, option, &s);
	if (option != LATCH_OPT_INFO)
		return answer_text(ctx->optval, ctx->optval_end, option, &s);
	if ((void *)(info + 1) > ctx->optval_end)
		return -EINVAL;
	return answer_info(info, &s, kernel_sk);
}

SEC("cgroup/getsockopt")
int option_get(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	int length;

	if (!sk || !is_ours(ctx, sk)) {
		leave_alone(ctx);
		return 1;
	}
	length = answer(ctx, sk);
	ctx->retval = length < 0 ? length : 0;
	if (length >= 0)
		ctx->optlen = length;
	return 1;
}
