/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copies a latch into its socket, with all texts. After the latch has ended its params and
 * identities may be deleted, and their indices reused for another peer.
 */
#include "db/past.h"

#include "db/own_key.h"

static __always_inline int copy_texts(struct socket_past *past, const struct latch_params *p)
{
	struct latch_identity *peer = identity_find(p->peer_id);
	struct latch_identity *local = identity_find(p->local_id);

	if (!peer || !local)
		return 0;
	return !bpf_probe_read_kernel(past->peer, sizeof(past->peer), peer->id) &&
	       !bpf_probe_read_kernel(past->local, sizeof(past->local), local->id) &&
	       !bpf_probe_read_kernel(past->connection, sizeof(past->connection), peer->config);
}

static __always_inline int copy_keys(struct socket_past *past, const struct latch_params *p,
				     __u32 index)
{
	struct latch_identity *peer = identity_find(p->peer_id);
	struct latch_own_key *own = own_key_find(index);

	if (!peer || bpf_probe_read_kernel(past->key, sizeof(past->key), peer->key) ||
	    (own && bpf_probe_read_kernel(past->own_key, sizeof(past->own_key), own->key)))
		return 0;
	past->auth = peer->auth;
	past->key_kind = peer->key_kind;
	past->own_key_kind =
		own && own_key_is((int)index, (const struct latch_own_key *)past->own_key)
			? LATCH_KEY_SPKI
			: LATCH_KEY_UNKNOWN;
	return 1;
}

static __always_inline int copy_params(struct socket_past *past, __u16 index)
{
	struct latch_params *p = params_find(index);

	if (!p)
		return 0;
	past->qop = p->qop;
	past->mode = p->mode;
	past->protocol = p->protocol;
	return copy_keys(past, p, index) && copy_texts(past, p);
}

/* The params of a LARVAL latch prove no peer: its SA could not create an ESTABLISHED latch. */
static __always_inline int has_peer(union latch_word word)
{
	return word.state == LATCH_STATE_ESTABLISHED || word.state == LATCH_STATE_BROKEN;
}

__noinline int past_fill(struct socket_past *past, const struct latch_flow *flow,
			 struct latch *latch, __u64 id)
{
	union latch_word word;

	if (!past || !flow || !latch)
		return 0;
	word = READ_WORD(latch->word);
	past->flow = *flow;
	past->id = id;
	past->created = latch->created;
	past->ended = bpf_ktime_get_boot_ns();
	past->drops = latch->drops;
	past->direction = latch->direction;
	past->reasons = word.reasons;
	past->audited = was_audited(past->created, latch->unproven, latch->rule_flags);
	past->unproven = latch->unproven & LATCH_UNPROVEN_EARLIER;
	past->why = LATCH_WHY_NONE;
	past->params_known = has_peer(word) && copy_params(past, word.params) &&
			     latch_still_has(flow, latch, id, word.params);
	return 0;
}
