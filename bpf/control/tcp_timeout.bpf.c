/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Makes sockets of broken latches time out, if the rule has a timeout instead of a reset. The
 * iterator shortens TCP's timers, so that TCP ends the connection with ETIMEDOUT. The gate drops
 * the socket's packets meanwhile. The controller runs this iterator over the sockets of a
 * namespace.
 */
#include "db/latch_db.h"
#include "packet/socket_flow.h"

#define SOL_SOCKET	 1 /* asm-generic/socket.h */
#define SO_KEEPALIVE	 9
#define SOL_TCP		 6 /* linux/tcp.h */
#define TCP_KEEPIDLE	 4
#define TCP_KEEPINTVL	 5
#define TCP_KEEPCNT	 6
#define TCP_SYNCNT	 7
#define TCP_USER_TIMEOUT 18

/* No application sets this value. It marks the sockets that were handled already. */
#define USER_TIMEOUT_MS 1

static __always_inline int set(struct tcp_sock *tcp, int level, int option, int value)
{
	return bpf_setsockopt(tcp, level, option, &value, sizeof(value));
}

/*
 * Keepalive ends a socket that only receives: the user timeout runs only while data is to be
 * retransmitted.
 */
static __always_inline int shorten_timers(struct tcp_sock *tcp)
{
	int err = set(tcp, SOL_SOCKET, SO_KEEPALIVE, 1);

	err = err ?: set(tcp, SOL_TCP, TCP_KEEPIDLE, 1);
	err = err ?: set(tcp, SOL_TCP, TCP_KEEPINTVL, 1);
	err = err ?: set(tcp, SOL_TCP, TCP_KEEPCNT, 1);
	return err ?: set(tcp, SOL_TCP, TCP_SYNCNT, 1);
}

static __always_inline struct latch *latch_of(struct tcp_sock *tcp, struct latch_flow *flow)
{
	struct sock *sk = (struct sock *)tcp;

	flow_of_kernel_socket(sk, BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie), flow);
	return bpf_map_lookup_elem(&latches, flow);
}

static __always_inline int wants_timeout(const struct latch *latch, struct tcp_sock *tcp)
{
	union latch_word word = READ_WORD(latch->word);

	if (latch_mode_passes_latch(mode_get(), latch))
		return 0;
	return word.state == LATCH_STATE_BROKEN && latch->disposition == LATCH_DISPOSITION_RESET &&
	       latch->rule_flags & LATCH_RULE_TIMEOUT && latch->owner == LATCH_OWNER_SOCKET &&
	       latch->socket_cookie == bpf_get_socket_cookie(tcp);
}

SEC("iter/tcp")
int timeout_broken(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_sock *tcp = common ? bpf_skc_to_tcp_sock(common) : NULL;
	struct latch_timed_out timed_out = {};
	struct latch *latch;

	latch = tcp ? latch_of(tcp, &timed_out.flow) : NULL;
	if (!latch || !wants_timeout(latch, tcp) ||
	    BPF_CORE_READ(tcp, inet_conn.icsk_user_timeout) == USER_TIMEOUT_MS)
		return 0;
	timed_out.latch_id = latch->id;
	timed_out.error = shorten_timers(tcp);
	/* If the record does not fit into the buffer, the iterator visits the socket again. */
	if (bpf_seq_write(ctx->meta->seq, &timed_out, sizeof(timed_out)) || timed_out.error)
		return 0;
	set(tcp, SOL_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	return 0;
}
