/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watches TCP sockets from connect() or listen() to their end. Keeps the owner of their latches,
 * which end with the socket or its TIME_WAIT. Keeps in the socket what its latch was, for
 * applications.
 */
#include "db/accepted.h"
#include "db/forget_passes.h"
#include "db/listener.h"
#include "db/met_latch.h"
#include "db/news.h"
#include "db/past.h"
#include "packet/sec_path.h"
#include "packet/socket_flow.h"

#define ECONNABORTED 103 /* asm-generic/errno.h */

static __always_inline int flow_of_ops(struct bpf_sock_ops *ops, struct latch_flow *flow)
{
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return -1;
	flow_of_socket(sk, bpf_get_netns_cookie(ops), flow);
	return 0;
}

static __always_inline int listener_of_ops(struct bpf_sock_ops *ops, struct latch_flow *flow)
{
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return -1;
	listener_of_socket(sk, bpf_get_netns_cookie(ops), flow);
	return 0;
}

static __always_inline void set_owner(struct bpf_sock_ops *ops, struct latch *latch,
				      enum latch_owner owner)
{
	latch->owner = owner;
	latch->owner_since = bpf_ktime_get_boot_ns();
	latch->socket_cookie = bpf_get_socket_cookie(ops);
}

static __always_inline struct socket_verdict *verdict_of(struct bpf_sock_ops *ops, __u64 flags)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&verdicts, sk, NULL, flags) : NULL;
}

/* The verifier accepts one load of ops->sk only at its own place. */
static OWN_FRAME int forget_passes_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	if (sk)
		forget_passes(sk);
	return 0;
}

/* ---- what the socket keeps of its latch, for questions */

static OWN_FRAME struct socket_past *past_of(struct bpf_sock_ops *ops, __u64 flags)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&pasts, sk, NULL, flags) : NULL;
}

static OWN_FRAME int forget_past(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	if (sk)
		bpf_sk_storage_delete(&pasts, sk);
	return 0;
}

/* NULL: no application can ask, or memory is short. */
static OWN_FRAME struct socket_past *past_to_fill(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	if (!sk || answers_are_off() || is_dead(kernel_socket(sk)))
		return NULL;
	return past_of(ops, BPF_SK_STORAGE_GET_F_CREATE);
}

static OWN_FRAME int error_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;

	return tcp ? BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.sk_err) : 0;
}

static OWN_FRAME int peer_has_ended(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? has_fin_of_peer(kernel_socket(sk)) : 0;
}

/* Both ends have sent a FIN. sk_err alone shows no abort: the application may have read it. */
static __always_inline int is_orderly(const struct socket_past *past, __u32 from)
{
	return past->peer_ended && (from == BPF_TCP_LAST_ACK || from == BPF_TCP_FIN_WAIT1 ||
				    from == BPF_TCP_FIN_WAIT2 || from == BPF_TCP_CLOSING);
}

static OWN_FRAME int keep_past(struct bpf_sock_ops *ops, const struct latch_flow *flow,
			       struct latch *latch, __u64 id)
{
	struct socket_past *past = past_to_fill(ops);

	if (!past)
		return 0;
	past_fill(past, flow, latch, id);
	past->peer_ended = peer_has_ended(ops);
	past->aborted = !is_orderly(past, ops->args[0]) || error_of(ops);
	past_note_close(past, latch);
	if (tells_nothing(past))
		forget_past(ops);
	return 0;
}

/* NULL: no wish. */
static OWN_FRAME struct socket_wish *wish_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct socket_wish *wish = sk ? bpf_sk_storage_get(&wishes, sk, NULL, 0) : NULL;

	return wish && wish->terms & WISH_MORE ? wish : NULL;
}

static OWN_FRAME int forget_failure(struct bpf_sock_ops *ops)
{
	struct socket_wish *wish = wish_of(ops);

	if (wish)
		wish->failed = LATCH_WHY_NONE;
	return 0;
}

/* The copy of a listener's: a bypass is of what the privileged socket itself opens. */
static OWN_FRAME int forget_bypass(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct socket_wish *wish = sk ? bpf_sk_storage_get(&wishes, sk, NULL, 0) : NULL;

	if (wish)
		wish->terms &= ~WISH_BYPASS;
	return 0;
}

static OWN_FRAME enum latch_why why_refused(struct bpf_sock_ops *ops, enum latch_action action)
{
	struct socket_wish *wish = wish_of(ops);

	if (wish && wish->failed)
		return wish->failed;
	return wish || action == LATCH_ACTION_REQUIRE ? LATCH_WHY_REQUIRED : LATCH_WHY_REFUSED;
}

static OWN_FRAME int has_failed_wish(struct bpf_sock_ops *ops)
{
	struct socket_wish *wish = wish_of(ops);

	return wish && wish->failed;
}

/* latchd ends a connect() that the gate has refused (R-2.3-18). Without latchd it times out. */
static OWN_FRAME int keep_refusal(struct bpf_sock_ops *ops, const struct latch_flow *flow)
{
	struct rule_decision rule = {};
	struct socket_past *past;

	if (error_of(ops) != ECONNABORTED && !has_failed_wish(ops))
		return 0;
	past = past_to_fill(ops);
	if (!past)
		return 0;
	rule_of(flow, LATCH_DIRECTION_OUT, &rule);
	past->id = 0;
	past->params_known = 0;
	past->reasons = 0;
	past->aborted = 1;
	past->peer_ended = 0;
	past->direction = LATCH_DIRECTION_OUT;
	past->why = why_refused(ops, rule.action);
	return 0;
}

/* ---- news for applications */

/* 0: the application wants no news of this socket. */
static OWN_FRAME int subscription_of(struct bpf_sock_ops *ops, struct latch_subscription *ret)
{
	struct bpf_sock *sk = ops->sk;
	struct latch_subscription *kept =
		sk ? bpf_sk_storage_get(&subscriptions, sk, NULL, 0) : NULL;

	if (!kept)
		return 0;
	*ret = *kept;
	return 1;
}

/*
 * The end of a connection has ended its subscription. Without room the application finds none when
 * it asks: an event would let any user fill the ring by connect().
 */
static OWN_FRAME int subscribe_again(struct bpf_sock_ops *ops)
{
	struct latch_subscription kept = {};

	if (subscription_of(ops, &kept))
		news_subscribe(bpf_get_socket_cookie(ops), &kept);
	return 0;
}

/* An accepted socket has a copy of its listener's subscription. Without a latch there are no news.
 */
static OWN_FRAME int subscribe_spawned(struct bpf_sock_ops *ops, const struct latch_flow *flow,
				       __u64 id, __u64 word)
{
	struct latch_subscriber subscriber = {.socket = bpf_get_socket_cookie(ops)};

	if (subscription_of(ops, &subscriber.subscription))
		news_spawned(&subscriber, flow, id, word);
	return 0;
}

static OWN_FRAME int unsubscribe(struct bpf_sock_ops *ops)
{
	struct latch_subscription kept = {};

	if (subscription_of(ops, &kept))
		news_unsubscribe(bpf_get_socket_cookie(ops));
	return 0;
}

/* A socket that connects again starts another connection. */
static __always_inline void connect_called(struct bpf_sock_ops *ops)
{
	struct socket_verdict *verdict = verdict_of(ops, BPF_SK_STORAGE_GET_F_CREATE);

	forget_passes_of(ops);
	forget_past(ops);
	forget_failure(ops);
	subscribe_again(ops);
	if (!verdict)
		return;
	verdict->was_latched = 0;
	verdict->exempt = 0;
	verdict->tunnelled = 0;
	verdict->opened = LATCH_DIRECTION_OUT;
}

/* The packet that ended the handshake. The context is a pointer to the kernel's own structure. */
static __always_inline struct sk_buff *packet_of_ops(struct bpf_sock_ops *ops)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &ops);
	return BPF_CORE_READ((struct bpf_sock_ops_kern *)address, skb);
}

static __always_inline int accepted_without_latch(struct bpf_sock_ops *ops,
						  const struct latch_flow *flow)
{
	enum packet_protection protection;
	struct latch_sa_key sa;

	protection = sec_path_sa(packet_of_ops(ops), flow->netns, &sa);
	return has_lost_its_latch(flow, protection, &sa);
}

/*
 * This runs before the socket's first packet: if the latch is closed from now on, the socket
 * stays blocked.
 */
static __always_inline void established(struct bpf_sock_ops *ops, enum latch_direction opened)
{
	struct socket_verdict *verdict = verdict_of(ops, BPF_SK_STORAGE_GET_F_CREATE);
	struct latch_flow flow;
	struct latch *latch;

	/*
	 * After a simultaneous open both ends called connect(), but both are reported as
	 * accepted.
	 */
	if (verdict && verdict->opened == LATCH_DIRECTION_NONE)
		verdict->opened = opened;
	if (verdict)
		verdict->began = mode_get();
	if (opened == LATCH_DIRECTION_IN && !(verdict && verdict->opened == LATCH_DIRECTION_OUT))
		forget_bypass(ops);
	if (flow_of_ops(ops, &flow))
		return;
	latch = bpf_map_lookup_elem(&latches, &flow);
	if (latch)
		set_owner(ops, latch, LATCH_OWNER_SOCKET);
	if (latch && opened == LATCH_DIRECTION_IN)
		subscribe_spawned(ops, &flow, latch->id, latch->word.raw);
	if (verdict &&
	    (latch || (opened == LATCH_DIRECTION_IN && accepted_without_latch(ops, &flow))))
		met_latch(verdict, &flow, latch);
}

/*
 * A socket that aborts sends its reset after the callback. A socket that was reset, timed out or
 * destroyed has sk_err set by now, and sends nothing more.
 */
static __always_inline int reset_follows(struct bpf_sock_ops *ops, __u32 from)
{
	return (from == BPF_TCP_ESTABLISHED || from == BPF_TCP_CLOSE_WAIT) && !error_of(ops);
}

/*
 * The callback never sees TIME_WAIT. The full socket is closed out of FIN_WAIT2 or CLOSING, and a
 * timewait socket continues to receive and answer packets. RFC 5660 requires the latch until no
 * more packets are expected. A connect() that fails may briefly have the flow of another socket, so
 * only the owner releases the latch.
 */
static __always_inline void closing(struct bpf_sock_ops *ops, __u32 from)
{
	struct latch_flow flow;
	struct latch *latch;
	__u64 id = 0;

	if (flow_of_ops(ops, &flow))
		return;
	latch = latch_read(&flow, &id);
	if (!latch && from == BPF_TCP_SYN_SENT)
		keep_refusal(ops, &flow);
	if (!latch || READ_ONCE(latch->socket_cookie) != bpf_get_socket_cookie(ops))
		return;
	/* The latch is of the former connection: the present one has sent no packet
	 * (TCP_FASTOPEN_CONNECT). */
	if (READ_ONCE(latch->owner) == LATCH_OWNER_TIME_WAIT)
		return;
	keep_past(ops, &flow, latch, id);
	news_closed(bpf_get_socket_cookie(ops), &flow, id, READ_WORD(latch->word).raw);
	if (from == BPF_TCP_FIN_WAIT1 || from == BPF_TCP_FIN_WAIT2 || from == BPF_TCP_CLOSING ||
	    reset_follows(ops, from))
		set_owner(ops, latch, LATCH_OWNER_TIME_WAIT);
	else
		latch_release(&flow, latch, id);
}

/* A socket that is never accepted gets no other call. */
static __always_inline void ended(struct bpf_sock_ops *ops, __u32 from)
{
	closing(ops, from);
	unsubscribe(ops);
}

/* Keeps the flags that other programs have set for this socket. */
static __always_inline void request_state_callback(struct bpf_sock_ops *ops)
{
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/*
 * A socket that could not join must not leave here: verdict->listens remembers it. For sockets
 * that listened before the programs were attached, see socket_release.bpf.c.
 */
static __always_inline void listening(struct bpf_sock_ops *ops)
{
	struct socket_verdict *verdict;
	struct latch_flow flow;

	if (listener_of_ops(ops, &flow))
		return;
	verdict = verdict_of(ops, BPF_SK_STORAGE_GET_F_CREATE);
	if (verdict)
		verdict->listens = !listener_join(&flow, bpf_get_socket_cookie(ops));
}

static __always_inline void stopped_listening(struct bpf_sock_ops *ops)
{
	struct socket_verdict *verdict;
	struct latch_flow flow;

	if (listener_of_ops(ops, &flow))
		return;
	verdict = verdict_of(ops, 0);
	if (!verdict || !verdict->listens)
		return;
	verdict->listens = 0;
	listener_leave(&flow);
}

SEC("sockops")
int watch_socket(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		request_state_callback(ops);
		connect_called(ops);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		request_state_callback(ops);
		established(ops, LATCH_DIRECTION_OUT);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		request_state_callback(ops);
		established(ops, LATCH_DIRECTION_IN);
		break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		request_state_callback(ops);
		listening(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] != BPF_TCP_CLOSE)
			break;
		if (ops->args[0] == BPF_TCP_LISTEN)
			stopped_listening(ops);
		else
			ended(ops, ops->args[0]);
		break;
	}
	return 1;
}
