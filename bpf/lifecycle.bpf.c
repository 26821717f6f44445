/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A TCP socket's life, as far as its latch must know: who owns it, and when it ends. */
#include "latch_db.h"
#include "packet.h"

static __always_inline int flow_of_ops(struct bpf_sock_ops *ops, struct latch_flow *flow)
{
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return -1;
	flow_of_socket(sk, bpf_get_netns_cookie(ops), flow);
	return 0;
}

/* Known from here on, whatever becomes of the latch before its first packet passes a gate. */
static __always_inline void mark_latched(struct bpf_sock_ops *ops)
{
	struct socket_verdict *v;
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return;
	v = bpf_sk_storage_get(&verdicts, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (v)
		v->was_latched = 1;
}

/* A socket may connect once more after a refusal: another connection, with a latch of its own. */
static __always_inline void forget_latched(struct bpf_sock_ops *ops)
{
	struct socket_verdict *v;
	struct bpf_sock *sk = ops->sk;

	if (!sk)
		return;
	v = bpf_sk_storage_get(&verdicts, sk, NULL, 0);
	if (v)
		v->was_latched = 0;
}

static __always_inline void take_ownership(struct bpf_sock_ops *ops, enum latch_owner owner)
{
	struct latch_flow flow;
	struct latch *latch;

	if (flow_of_ops(ops, &flow))
		return;
	latch = bpf_map_lookup_elem(&latches, &flow);
	if (!latch)
		return;
	if (owner == LATCH_OWNER_SOCKET)
		mark_latched(ops);
	latch->owner = owner;
	latch->owner_since = bpf_ktime_get_boot_ns();
	latch->socket_cookie = bpf_get_socket_cookie(ops);
}

/*
 * The callback never sees TIME_WAIT: the full socket is closed out of FIN_WAIT2
 * or CLOSING while a small one lives on, and packets with it. RFC 5660 wants the
 * latch until no more are expected.
 */
static __always_inline void closing(struct bpf_sock_ops *ops, __u32 from)
{
	struct latch_flow flow;
	struct latch *latch;

	if (from == BPF_TCP_FIN_WAIT1 || from == BPF_TCP_FIN_WAIT2 || from == BPF_TCP_CLOSING) {
		take_ownership(ops, LATCH_OWNER_TIME_WAIT);
		return;
	}
	if (flow_of_ops(ops, &flow))
		return;
	latch = bpf_map_lookup_elem(&latches, &flow);
	if (latch)
		latch_release(&flow, latch);
}

SEC("sockops")
int watch_socket(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		forget_latched(ops);
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
		take_ownership(ops, LATCH_OWNER_SOCKET);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == BPF_TCP_CLOSE && ops->args[0] != BPF_TCP_LISTEN)
			closing(ops, ops->args[0]);
		break;
	}
	return 1;
}
