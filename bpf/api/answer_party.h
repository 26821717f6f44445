/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The answers that tell how an end was authenticated, and by which key; and the octets that bind an
 * application to both keys (RFC 5056, of the end-point type).
 */
#ifndef LATCH_BPF_API_ANSWER_PARTY_H
#define LATCH_BPF_API_ANSWER_PARTY_H

#include "api/errors.h"
#include "api/state.h"
#include "db/own_key.h"

static __always_inline __u8 class_of(__u32 auth)
{
	switch ((enum latch_auth)auth) {
	case LATCH_AUTH_PUBKEY:
		return LATCH_CLASS_PUBLIC_KEY;
	case LATCH_AUTH_PSK:
		return LATCH_CLASS_PSK;
	case LATCH_AUTH_EAP:
		return LATCH_CLASS_EAP;
	case LATCH_AUTH_UNKNOWN:
	case LATCH_AUTH_XAUTH:
	case LATCH_AUTH_NULL:
		break;
	}
	return LATCH_CLASS_ANY;
}

static __always_inline int has_peer(union latch_word word)
{
	return word.state == LATCH_STATE_ESTABLISHED || word.state == LATCH_STATE_BROKEN;
}

/* ---- the parties. Each number is 0 where it is not known. */

static __always_inline void begin_party(struct latch_party *to)
{
	__builtin_memset(to, 0, sizeof(*to));
	to->size = sizeof(*to);
}

static __always_inline void put_key(struct latch_party *to, const __u8 *key)
{
	to->key_kind = LATCH_APP_KEY_SPKI;
	__builtin_memcpy(to->key, key, sizeof(to->key));
}

static OWN_FRAME int peer_of_latch(struct latch_party *to, const struct subject *s)
{
	struct latch_params *p = params_find(s->word.params);
	struct latch_identity *peer = p ? identity_find(p->peer_id) : NULL;

	if (!peer || !s->latch || !has_peer(s->word))
		return -ENODATA;
	begin_party(to);
	to->number = p->peer_id;
	to->auth_class = class_of(peer->auth);
	__builtin_memcpy(to->id, peer->id, sizeof(to->id));
	__builtin_memcpy(to->connection, peer->config, sizeof(to->connection));
	if (peer->key_kind == LATCH_KEY_SPKI)
		put_key(to, peer->key);
	return latch_still_has(&s->flow, s->latch, s->id, s->word.params) ? (int)sizeof(*to)
									  : -ENODATA;
}

static OWN_FRAME int local_of_latch(struct latch_party *to, const struct subject *s)
{
	struct latch_params *p = params_find(s->word.params);
	struct latch_identity *local = p ? identity_find(p->local_id) : NULL;
	struct latch_own_key *own = own_key_find(s->word.params);

	if (!local || !s->latch || !has_peer(s->word))
		return -ENODATA;
	begin_party(to);
	to->number = p->local_id;
	__builtin_memcpy(to->id, local->id, sizeof(to->id));
	if (own)
		put_key(to, own->key);
	if (own && !own_key_is(s->word.params, (const struct latch_own_key *)to->key))
		return -ENODATA;
	return latch_still_has(&s->flow, s->latch, s->id, s->word.params) ? (int)sizeof(*to)
									  : -ENODATA;
}

/* The numbers may be another peer's by now. */
static OWN_FRAME int party_of_past(struct latch_party *to, const struct socket_past *past,
				   int option)
{
	if (!past || !past->params_known)
		return -ENODATA;
	begin_party(to);
	if (option == LATCH_OPT_LOCAL) {
		__builtin_memcpy(to->id, past->local, sizeof(to->id));
		if (past->own_key_kind == LATCH_KEY_SPKI)
			put_key(to, past->own_key);
		return sizeof(*to);
	}
	to->auth_class = class_of(past->auth);
	__builtin_memcpy(to->id, past->peer, sizeof(to->id));
	__builtin_memcpy(to->connection, past->connection, sizeof(to->connection));
	if (past->key_kind == LATCH_KEY_SPKI)
		put_key(to, past->key);
	return sizeof(*to);
}

/* ---- the binding */

/* As bytes: -1, 0 or 1. */
static __always_inline int compare_keys(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	for (int i = 0; i < LATCH_KEY_SIZE / 8; i++)
		if (a[i] != b[i])
			return bpf_be64_to_cpu(a[i]) < bpf_be64_to_cpu(b[i]) ? -1 : 1;
	return 0;
}

static OWN_FRAME int binding_of_latch(struct latch_binding *to, const struct subject *s)
{
	struct latch_params *p = params_find(s->word.params);
	struct latch_identity *peer = p ? identity_find(p->peer_id) : NULL;
	struct latch_own_key *own = own_key_find(s->word.params);

	if (!peer || !own || !s->latch || peer->key_kind != LATCH_KEY_SPKI)
		return -ENODATA;
	__builtin_memcpy(to->type, LATCH_BINDING_TYPE, sizeof(to->type));
	__builtin_memcpy(to->lower, own->key, sizeof(to->lower));
	if (!own_key_is(s->word.params, (const struct latch_own_key *)to->lower))
		return -ENODATA;
	if (compare_keys(peer->key, to->lower) < 0) {
		__builtin_memcpy(to->higher, to->lower, sizeof(to->higher));
		__builtin_memcpy(to->lower, peer->key, sizeof(to->lower));
	} else {
		__builtin_memcpy(to->higher, peer->key, sizeof(to->higher));
	}
	return latch_still_has(&s->flow, s->latch, s->id, s->word.params) ? (int)sizeof(*to)
									  : -ENODATA;
}

/* Returns the length of the answer, or a negative errno. */
static __always_inline int answer_party(void *to, const void *end, int option,
					const struct subject *s)
{
	struct latch_answer status = {};
	struct latch_party *party = to;
	struct latch_binding *binding = to;

	status_of(s, &status);
	if (option == LATCH_OPT_BINDING) {
		if ((const void *)(binding + 1) > end)
			return -ERANGE;
		return s->kind == SUBJECT_LATCH && status.state == LATCH_APP_ESTABLISHED
			       ? binding_of_latch(binding, s)
			       : -ENODATA;
	}
	if ((const void *)(party + 1) > end)
		return -EINVAL;
	if (status.audited || status.unproven)
		return -ENODATA;
	if (s->kind == SUBJECT_PAST)
		return party_of_past(party, s->past, option);
	if (s->kind != SUBJECT_LATCH)
		return -ENODATA;
	return option == LATCH_OPT_LOCAL ? local_of_latch(party, s) : peer_of_latch(party, s);
}

#endif
