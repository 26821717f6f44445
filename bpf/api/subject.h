/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the latch that a question is about: the latch of this socket. A latch names its owner by
 * the cookie, since two sockets may have the same flow. After the end of the latch the socket has
 * a copy.
 */
#ifndef LATCH_BPF_API_SUBJECT_H
#define LATCH_BPF_API_SUBJECT_H

#include "db/past.h"
#include "packet/same_flow.h"
#include "packet/socket_flow.h"

enum subject_kind {
	SUBJECT_NOTHING,  /* no latch: why */
	SUBJECT_LISTENER, /* latch, id */
	SUBJECT_LATCH,	  /* latch, id, created, unproven, rule_flags, word */
	SUBJECT_PAST,	  /* past */
	SUBJECT_LOST,	  /* there was a latch: why */
};

/*
 * Each member has its own slot of the stack: the verifier of Linux 6.1 loses its knowledge of a
 * slot that is written in parts. It accepts a pointer only after a comparison with NULL.
 */
struct subject {
	__u64 kind; /* enum subject_kind */
	__u64 why;  /* enum latch_why */
	struct latch *latch;
	struct socket_past *past;
	__u64 id;
	__u64 created;
	__u64 unproven;
	__u64 rule_flags;
	union latch_word word;
	struct latch_flow flow; /* family 0: no connection */
};

static __always_inline void find_nothing(struct subject *s, enum latch_why why)
{
	s->kind = SUBJECT_NOTHING;
	s->why = why;
}

static __always_inline void find_lost(struct subject *s, enum latch_why why)
{
	s->kind = SUBJECT_LOST;
	s->why = why;
}

static __always_inline void find_past(struct subject *s, struct socket_past *past)
{
	if (!past->id) {
		find_nothing(s, past->why);
		return;
	}
	s->kind = SUBJECT_PAST;
	s->past = past;
	s->flow = past->flow;
}

static OWN_FRAME struct latch *latch_at(const struct latch_flow *flow, __u64 *ret_id)
{
	struct latch_flow key = *flow;
	__u64 id = 0;
	struct latch *latch = latch_read(&key, &id);

	*ret_id = id;
	return latch;
}

/* Cookie 0: the socket has no cookie yet, or the latch belongs to a handshake. */
static __always_inline int is_owner(const struct latch *latch, struct sock *sk)
{
	__u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);

	return cookie && READ_ONCE(latch->socket_cookie) == cookie;
}

/*
 * 1: this socket owns the latch of its flow, which is the subject. A latch in TIME_WAIT still has
 * the cookie, but belongs to the former connection.
 */
static __always_inline int find_latch(struct subject *s, struct sock *sk)
{
	s->latch = latch_at(&s->flow, &s->id);
	if (!s->latch)
		return 0;
	s->word = READ_WORD(s->latch->word);
	s->created = READ_ONCE(s->latch->created);
	s->unproven = READ_ONCE(s->latch->unproven);
	s->rule_flags = READ_ONCE(s->latch->rule_flags);
	if (!is_owner(s->latch, sk) || READ_ONCE(s->latch->owner) != LATCH_OWNER_SOCKET ||
	    READ_ONCE(s->latch->id) != s->id)
		return 0;
	s->kind = SUBJECT_LATCH;
	return 1;
}

/* NONE: the socket has no wish. */
static __always_inline enum latch_why why_of_wish(struct bpf_sock *sk)
{
	struct socket_wish *wish = bpf_sk_storage_get(&wishes, sk, NULL, 0);

	if (!wish || !wish->terms)
		return LATCH_WHY_NONE;
	if (!(wish->terms & WISH_MORE))
		return LATCH_WHY_BYPASS;
	return wish->failed ? (enum latch_why)wish->failed : LATCH_WHY_REQUIRED;
}

/* Of a connect() under way. It may go on: LATCH_DISPOSE_WAIT, or without latchd. */
static __always_inline enum latch_why why_not_yet(struct bpf_sock *sk)
{
	struct socket_wish *wish = bpf_sk_storage_get(&wishes, sk, NULL, 0);

	return wish && wish->failed ? (enum latch_why)wish->failed : LATCH_WHY_NOT_YET;
}

static __always_inline void find_by_rule(struct subject *s, struct bpf_sock *sk,
					 enum latch_direction opened, enum latch_why otherwise)
{
	enum latch_why unwished = why_of_wish(sk);
	struct rule_decision rule = {};

	if (unwished != LATCH_WHY_NONE) {
		find_nothing(s, unwished);
		return;
	}
	rule_of(&s->flow, opened, &rule);
	switch (rule.action) {
	case LATCH_ACTION_OFF:
		find_nothing(s, LATCH_WHY_RULE_OFF);
		return;
	case LATCH_ACTION_REQUIRE:
		find_nothing(s, LATCH_WHY_REQUIRED);
		return;
	case LATCH_ACTION_AUTO:
		break;
	}
	find_nothing(s, otherwise);
}

/* ---- TCP */

static __always_inline void find_listener(struct subject *s, struct bpf_sock *sk, __u64 netns)
{
	listener_of_socket(sk, netns, &s->flow);
	s->latch = latch_at(&s->flow, &s->id);
	if (!s->latch) {
		find_nothing(s, LATCH_WHY_NO_ROOM);
		return;
	}
	s->kind = SUBJECT_LISTENER;
}

/* An ended socket may have no ports. */
static __always_inline void find_ended(struct subject *s, struct bpf_sock *sk,
				       const struct socket_verdict *v)
{
	struct socket_past *past = bpf_sk_storage_get(&pasts, sk, NULL, 0);

	if (past)
		find_past(s, past);
	else if (v && v->was_latched)
		find_lost(s, LATCH_WHY_ENDED);
	else
		find_nothing(s, LATCH_WHY_NOT_CONNECTED);
}

static __always_inline void find_tcp(struct subject *s, struct bpf_sock *sk, struct sock *kernel_sk)
{
	struct socket_verdict *v = bpf_sk_storage_get(&verdicts, sk, NULL, 0);
	__u64 netns = netns_of_kernel_socket(kernel_sk);
	__u32 state = sk->state;

	if (state == BPF_TCP_LISTEN) {
		find_listener(s, sk, netns);
		return;
	}
	if (state == BPF_TCP_CLOSE) {
		find_ended(s, sk, v);
		return;
	}
	flow_of_socket(sk, netns, &s->flow);
	if (find_latch(s, kernel_sk))
		return;
	/* With TCP_FASTOPEN_CONNECT no packet is sent yet: v is of the former connection. */
	if (state == BPF_TCP_SYN_SENT)
		find_nothing(s, why_not_yet(sk));
	else if (v && v->was_latched)
		find_lost(s, LATCH_WHY_REMOVED);
	else if (s->latch)
		find_nothing(s, LATCH_WHY_OTHER_SOCKET);
	else if (v && v->opened)
		find_by_rule(s, sk, v->opened, LATCH_WHY_CLEAR);
	else
		find_by_rule(s, sk, LATCH_DIRECTION_NONE, LATCH_WHY_OLDER);
}

/* ---- UDP */

/* Compares the flow: the socket's state may be of a former connection. */
static __always_inline int lost_this_latch(const struct subject *s,
					   const struct datagram_socket *socket)
{
	return socket && socket->verdict.was_latched && same_flow(&socket->flow, &s->flow);
}

static __always_inline void find_udp(struct subject *s, struct bpf_sock *sk, struct sock *kernel_sk)
{
	struct datagram_socket *socket = bpf_sk_storage_get(&datagram_sockets, sk, NULL, 0);
	struct socket_past *past = bpf_sk_storage_get(&pasts, sk, NULL, 0);

	if (sk->state != BPF_TCP_ESTABLISHED || !sk->dst_port) {
		if (past)
			find_past(s, past);
		else
			find_nothing(s, LATCH_WHY_NOT_CONNECTED);
		return;
	}
	flow_of_socket(sk, netns_of_kernel_socket(kernel_sk), &s->flow);
	if (find_latch(s, kernel_sk))
		return;
	if (s->latch)
		find_nothing(s, LATCH_WHY_OTHER_SOCKET);
	else if (lost_this_latch(s, socket))
		find_lost(s, LATCH_WHY_REMOVED);
	else
		find_by_rule(s, sk, LATCH_DIRECTION_NONE, LATCH_WHY_CLEAR);
}

#endif
