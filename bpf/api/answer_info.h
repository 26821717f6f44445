/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The answer to LATCH_OPT_INFO, written into the buffer of the caller: state, flags, and both outer
 * addresses of the SA that sends.
 */
#ifndef LATCH_BPF_API_ANSWER_INFO_H
#define LATCH_BPF_API_ANSWER_INFO_H

#include "api/state.h"
#include "packet/sec_path.h"

static __always_inline void put_flow(struct latch_info *info, const struct latch_flow *flow)
{
	info->family = flow->family;
	info->local_port = flow->local_port;
	info->remote_port = flow->remote_port;
	__builtin_memcpy(info->local_addr, flow->local_addr, sizeof(info->local_addr));
	__builtin_memcpy(info->remote_addr, flow->remote_addr, sizeof(info->remote_addr));
}

static __always_inline void put_protection(struct latch_info *info, const struct latch_qop *qop,
					   __u8 mode, __u8 protocol)
{
	__builtin_memcpy(info->encryption, qop->encryption, sizeof(info->encryption));
	__builtin_memcpy(info->integrity, qop->integrity, sizeof(info->integrity));
	info->encryption_bits = qop->encryption_bits;
	info->integrity_bits = qop->integrity_bits;
	info->icv_bits = qop->icv_bits;
	info->esn = qop->esn;
	info->replay_protection = qop->replay_protection;
	info->mode = mode;
	info->protocol = protocol;
	info->flags &= ~LATCH_INFO_INDETERMINATE;
	if (mode == MODE_TUNNEL)
		info->flags |= LATCH_INFO_GATEWAY;
}

/* ---- the ends of the SA that the socket sends under */

/* The SA of the socket's cached route, if it is one SA, of the latch's peer. */
static __always_inline struct xfrm_state *sending_state(const struct subject *s, struct sock *sk)
{
	struct dst_entry *dst = BPF_CORE_READ(sk, sk_dst_cache);
	struct xfrm_state *x = dst ? BPF_CORE_READ(dst, xfrm) : NULL;
	struct dst_entry *child;
	struct latch_sa_key key = {};
	union latch_sa_word word;
	struct latch_sa *sa;

	if (!x)
		return NULL;
	child = BPF_CORE_READ((struct xfrm_dst *)dst, child);
	if (child && BPF_CORE_READ(child, xfrm))
		return NULL;
	if (protection_of_state(x, s->flow.netns, &key) != PACKET_PROTECTED)
		return NULL;
	sa = bpf_map_lookup_elem(&sas, &key);
	if (!sa)
		return NULL;
	word = READ_WORD(sa->word);
	return word.params && word.params == s->word.params ? x : NULL;
}

static __always_inline void put_encapsulation(struct latch_info *info, struct xfrm_state *x)
{
	struct xfrm_encap_tmpl *encap = BPF_CORE_READ(x, encap);

	if (!encap)
		return;
	info->flags |= LATCH_INFO_ENCAPSULATED;
	info->outer_local_port = bpf_ntohs(BPF_CORE_READ(encap, encap_sport));
	info->outer_remote_port = bpf_ntohs(BPF_CORE_READ(encap, encap_dport));
}

static __always_inline void put_outer(struct latch_info *info, const struct subject *s,
				      struct sock *sk)
{
	struct xfrm_state *x = sending_state(s, sk);
	__u32 local[4] = {}, remote[4] = {};
	__u8 family;

	if (!x)
		return;
	family = BPF_CORE_READ(x, props.family);
	if (family == AF_INET) {
		local[0] = BPF_CORE_READ(x, props.saddr.a4);
		remote[0] = BPF_CORE_READ(x, id.daddr.a4);
	} else {
		BPF_CORE_READ_INTO(&local, x, props.saddr.a6);
		BPF_CORE_READ_INTO(&remote, x, id.daddr.a6);
	}
	info->outer_family = family;
	__builtin_memcpy(info->outer_local_addr, local, sizeof(local));
	__builtin_memcpy(info->outer_remote_addr, remote, sizeof(remote));
	put_encapsulation(info, x);
}

/* ---- the latch */

static __always_inline void put_latch(struct latch_info *info, const struct subject *s,
				      struct sock *sk)
{
	struct latch_params *p = params_find(s->word.params);
	__u64 now = bpf_ktime_get_boot_ns(), changed;
	const struct latch *latch = s->latch;

	if (!latch)
		return;
	changed = latch->changed;
	info->latch = s->id;
	info->direction = latch->direction;
	info->dropped = latch->drops;
	info->age_ns = now - s->created;
	info->changed_ns = now - changed;
	if (changed != s->created)
		info->flags |= LATCH_INFO_CHANGED;
	if (has_fin_of_peer(sk))
		info->flags |= LATCH_INFO_PEER_ENDED;
	if (p && s->word.state != LATCH_STATE_LARVAL) {
		if (!(info->flags & (LATCH_INFO_AUDIT | LATCH_INFO_UNPROVEN))) {
			info->peer_number = p->peer_id;
			info->local_number = p->local_id;
		}
		put_protection(info, &p->qop, p->mode, p->protocol);
		put_outer(info, s, sk);
	}
}

static __always_inline void put_past(struct latch_info *info, const struct socket_past *past)
{
	__u64 now = bpf_ktime_get_boot_ns();

	if (!past)
		return;
	info->latch = past->id;
	info->direction = past->direction;
	info->dropped = past->drops;
	info->age_ns = now - past->created;
	info->changed_ns = now - past->ended;
	info->flags |= LATCH_INFO_CHANGED;
	if (past->aborted)
		info->flags |= LATCH_INFO_ABORTED;
	if (past->peer_ended)
		info->flags |= LATCH_INFO_PEER_ENDED;
	if (past->params_known)
		put_protection(info, &past->qop, past->mode, past->protocol);
}

static __always_inline void put_listener(struct latch_info *info, const struct subject *s)
{
	__u64 now = bpf_ktime_get_boot_ns();
	const struct latch *latch = s->latch;

	if (!latch)
		return;
	info->latch = s->id;
	info->age_ns = now - latch->created;
	info->changed_ns = now - latch->changed;
}

static __always_inline void put_subject(struct latch_info *info, const struct subject *s,
					struct sock *sk)
{
	put_flow(info, &s->flow);
	switch ((enum subject_kind)s->kind) {
	case SUBJECT_LISTENER:
		put_listener(info, s);
		return;
	case SUBJECT_LATCH:
		put_latch(info, s, sk);
		return;
	case SUBJECT_PAST:
		put_past(info, s->past);
		return;
	case SUBJECT_NOTHING:
	case SUBJECT_LOST:
		return;
	}
}

/* A separate function, so that the object's BTF has the structure. */
static OWN_FRAME int put_all(struct latch_info *info, const struct subject *s, struct sock *sk)
{
	struct latch_answer status = {};

	__builtin_memset(info, 0, sizeof(*info));
	status_of(s, &status);
	info->size = sizeof(*info);
	info->abi = LATCH_OPTION_ABI;
	info->state = status.state;
	info->why = status.why;
	info->reasons = status.reasons;
	info->flags = LATCH_INFO_INDETERMINATE;
	if (status.audited)
		info->flags |= LATCH_INFO_AUDIT;
	if (status.unproven)
		info->flags |= LATCH_INFO_UNPROVEN;
	put_subject(info, s, sk);
	return 0;
}

/* The socket's lock keeps the connection as it is, but latchd may have closed the latch. */
static __always_inline int answer_info(struct latch_info *info, struct subject *s, struct sock *sk)
{
	put_all(info, s, sk);
	if (s->kind != SUBJECT_LATCH || is_still_there(s))
		return sizeof(*info);
	find_lost(s, LATCH_WHY_REMOVED);
	put_all(info, s, sk);
	return sizeof(*info);
}

#endif
