/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does the SA of a packet fulfil the wishes of the application for its socket? */
#include "gate/wish.h"
#include "db/latch_flags.h"
#include "db/met_latch.h"
#include "db/past.h"
#include "db/peer_sets.h"
#include "latch_strength.h"
#include "packet/same_flow.h"

/* ---- the least quality (R-2.1-3) */

/* A global function, as is_same_text(). */
__noinline int is_good_enough(const struct latch_least *least, const struct latch_qop *qop)
{
	__u32 strength;

	if (!least || !qop)
		return 0;
	strength = latch_strength(qop);
	if ((least->confidential || least->encryption_bits) &&
	    (!strength || strength < least->encryption_bits))
		return 0;
	return qop->icv_bits >= least->icv_bits &&
	       (!least->replay_protection || qop->replay_protection) && (!least->esn || qop->esn);
}

/* ---- all terms */

struct whole_text {
	char text[LATCH_ID_TEXT_MAX];
};

/* A global function: the verifier checks it once. Four words a step need half of its steps. */
__noinline int is_same_text(const struct whole_text *one, const struct whole_text *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;
	__u64 differs = 0;

	if (!one || !other)
		return 0;
	for (int i = 0; i < LATCH_ID_TEXT_MAX / 8; i += 4)
		differs |= (a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) | (a[i + 2] ^ b[i + 2]) |
			   (a[i + 3] ^ b[i + 3]);
	return !differs;
}

static __always_inline int has_text(const char *text, const char *wished)
{
	return is_same_text((const struct whole_text *)text, (const struct whole_text *)wished);
}

static __always_inline int has_class(__u32 auth, __u8 wished)
{
	switch ((enum latch_app_class)wished) {
	case LATCH_CLASS_ANY:
		return 1;
	case LATCH_CLASS_PSK:
		return auth == LATCH_AUTH_PSK || auth == LATCH_AUTH_PUBKEY;
	case LATCH_CLASS_PUBLIC_KEY:
		return auth == LATCH_AUTH_PUBKEY;
	case LATCH_CLASS_EAP:
		return auth == LATCH_AUTH_EAP;
	}
	return 0;
}

struct tag_search {
	const struct latch_peer_sets *sets;
	const struct socket_wish *wish;
	__u32 found; /* the sets of the wished name: none or one */
};

/* A callback is verified once. */
static long compare_tag(__u32 i, struct tag_search *search)
{
	if (i >= LATCH_PEER_SETS_MAX)
		return 1;
	if (same_bytes(search->sets->names[i], search->wish->tag, LATCH_TAG_MAX))
		search->found |= 1u << i;
	return 0;
}

/*
 * Is the peer of the set that the wish names? The half in force is written again only after a
 * change of the stamp. A global function, as is_same_text().
 */
__noinline int has_tag(const struct socket_wish *wish, __u32 peer)
{
	struct latch_peer_facts *facts = peer_facts_find(peer);
	struct latch_settings *s = settings_get();
	struct tag_search search = {.wish = wish};
	__u32 stamp, mask;

	if (!wish || !facts || !s)
		return 0;
	for (int i = 0; i < 2; i++) {
		stamp = READ_ONCE(s->rule_stamp);
		full_barrier();
		search.found = 0;
		search.sets = peer_sets_find(stamp);
		if (!search.sets)
			return 0;
		mask = sets_of(facts, stamp);
		bpf_loop(LATCH_PEER_SETS_MAX, compare_tag, &search, 0);
		full_barrier();
		if (READ_ONCE(s->rule_stamp) == stamp)
			return (search.found & mask) != 0;
	}
	return 0;
}

static __always_inline enum latch_why unfulfilled(const struct socket_wish *wish,
						  const struct latch_params *p)
{
	struct latch_identity *peer = identity_find(p->peer_id);
	struct latch_identity *local = identity_find(p->local_id);
	__u16 terms = wish->terms;

	if (!peer || !local || terms & ~WISH_KNOWN)
		return LATCH_WHY_PEER;
	if (terms & WISH_PEER && !has_text(peer->id, wish->peer))
		return LATCH_WHY_PEER;
	if (terms & WISH_CONNECTION &&
	    !same_bytes(wish->connection, peer->config, sizeof(peer->config)))
		return LATCH_WHY_PEER;
	if (terms & WISH_LOCAL && !has_text(local->id, wish->local))
		return LATCH_WHY_LOCAL;
	if (terms & WISH_CLASS && !has_class(peer->auth, wish->class))
		return LATCH_WHY_CLASS;
	if (terms & WISH_QUALITY && !is_good_enough(&wish->least, &p->qop))
		return LATCH_WHY_QUALITY;
	/* The last one: a latch of this socket does without it, see forgets_tag(). */
	if (terms & WISH_TAG && !has_tag(wish, p->peer_id))
		return LATCH_WHY_TAG;
	return LATCH_WHY_NONE;
}

/* True: the params of the SA are those of its peer. */
static __always_inline int has_peer(union latch_sa_word word)
{
	return word.params && word.state != LATCH_SA_PENDING && word.state != LATCH_SA_NONE &&
	       !(word.flags & LATCH_SA_AMBIGUOUS);
}

static __always_inline void admit(struct passage *p, struct socket_wish *wish, __u16 index,
				  enum latch_why why)
{
	p->wish_why = why;
	if (why == LATCH_WHY_NONE)
		p->admitted = index;
	else
		p->wish_drop = why == LATCH_WHY_QUALITY ? LATCH_DROP_QOP : LATCH_DROP_IDENTITY;
	/* All connections of a listener would write there. */
	if (!p->listener && wish->failed != why)
		WRITE_ONCE(wish->failed, why);
}

/* An index of params is reused, but not while the SA has it: the word shows that it had it during
 * the comparison. */
static __always_inline void check_terms(struct passage *p, struct socket_wish *wish)
{
	__u32 changes = READ_ONCE(wish->changes);
	struct latch_params *found;
	union latch_sa_word word;
	enum latch_why why;
	struct latch_sa *sa;

	full_barrier();
	sa = p->protection == PACKET_PROTECTED ? sa_find(&p->sa) : NULL;
	if (!sa) {
		/* Any host may send what is received. */
		if (p->egress && wish->failed != LATCH_WHY_REQUIRED)
			WRITE_ONCE(wish->failed, LATCH_WHY_REQUIRED);
		return;
	}
	word = READ_WORD(sa->word);
	found = has_peer(word) ? params_find(word.params) : NULL;
	if (!found)
		return;
	why = unfulfilled(wish, found);
	full_barrier();
	if (READ_WORD(sa->word).raw != word.raw || changes & 1 ||
	    READ_ONCE(wish->changes) != changes)
		return;
	admit(p, wish, word.params, why);
}

__noinline int wish_check(struct __sk_buff *skb, struct passage *p)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_wish *wish;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !p)
		return 0;
	wish = bpf_sk_storage_get(&wishes, sk, NULL, 0);
	if (!wish)
		return 0;
	if (!(wish->terms & WISH_MORE || READ_ONCE(wish->changes) & 1)) {
		/* The SYN-ACK of a listener has no full socket: the gates would not know. */
		p->bypass = wish->terms && !p->listener;
		return 0;
	}
	p->enforced = 1;
	p->wish = wish->disposition + 1;
	check_terms(p, wish);
	return 0;
}

static __always_inline enum latch_drop reason_of_datagram(const struct passage *p)
{
	switch (p->protection) {
	case PACKET_PROTECTED:
		return unwished_reason(p, LATCH_DROP_SA_PENDING);
	case PACKET_MALFORMED:
		return LATCH_DROP_MALFORMED;
	case PACKET_MERGED:
		return LATCH_DROP_MERGED;
	case PACKET_OTHER_MODE:
		return LATCH_DROP_OTHER_MODE;
	case PACKET_PLAIN:
	case PACKET_NESTED:
		break;
	}
	return LATCH_DROP_REQUIRED;
}

__noinline int wish_check_datagram(struct passage *p)
{
	if (!p)
		return GATE_DROP;
	return p->admitted ? GATE_PASS : drop(reason_of_datagram(p), p, NULL);
}

/* A UDP socket with a wish has this state: no other one needs a look-up. */
__noinline int wish_check_loose(struct passage *p, const struct datagram_socket *socket)
{
	if (!p)
		return GATE_DROP;
	if (!socket || !READ_ONCE(socket->wished))
		return GATE_PASS;
	p->enforced = 1;
	return drop(LATCH_DROP_REQUIRED, p, NULL);
}

/* Another socket of the flow may have made the latch: it has no wish, and answers by itself. */
static __always_inline int has_latch(const struct passage *p, const struct latch *latch)
{
	__u64 cookie = READ_ONCE(latch->socket_cookie);

	return cookie ? cookie == p->socket_cookie
		      : READ_ONCE(latch->owner) == LATCH_OWNER_HANDSHAKE;
}

/*
 * Until now the latch was not enforced in audit mode, so packets of other peers may have passed. By
 * now the element of the map may be another flow's.
 */
__noinline int wish_keep(struct passage *p, struct latch *latch)
{
	int audited;
	__u64 id;

	if (!p || !latch)
		return 0;
	id = READ_ONCE(latch->id);
	if (!has_latch(p, latch))
		return 0;
	audited = was_audited(latch->created, latch->unproven, latch->rule_flags);
	if (latch_find(&p->flow) != latch || READ_ONCE(latch->id) != id)
		return 0;
	if (audited)
		WRITE_ONCE(latch->unproven, latch->unproven | LATCH_UNPROVEN_AUDITED);
	latch_set_flag(latch, LATCH_RULE_WISHED);
	return 0;
}

/* admitted: the params that the former wishes have admitted; 0: the socket had none. */
static __always_inline int is_unwished_latch(const struct passage *p, const struct latch *latch,
					     __u16 admitted)
{
	union latch_word word = READ_WORD(latch->word);

	if (READ_ONCE(latch->socket_cookie) != p->socket_cookie)
		return 0;
	return admitted ? word.params == admitted
			: !(READ_ONCE(latch->rule_flags) & LATCH_RULE_WISHED);
}

/* As datagram_release_latch(), of a latch that was not compared. A global function, too. */
__noinline int wish_end_latch(const struct passage *p, struct datagram_socket *socket, int admitted)
{
	struct latch_flow flow;
	struct latch *latch;
	__u64 id = 0;

	if (!p || !socket)
		return 0;
	flow = p->flow;
	latch = latch_read(&flow, &id);
	if (!latch || !is_unwished_latch(p, latch, admitted))
		return 0;
	socket->released_mode = 0;
	WRITE_ONCE(socket->was_released, 1);
	full_barrier();
	WRITE_ONCE(socket->verdict.was_latched, 0);
	latch_release(&flow, latch, id);
	return 0;
}

/* A global function, as is_same_text(). */
__noinline int wish_note_latch(const struct passage *p, struct datagram_socket *socket)
{
	struct latch *latch;

	if (!p || !socket)
		return 0;
	latch = latch_find(&p->flow);
	socket->flow = p->flow;
	if (latch)
		met_latch(&socket->verdict, &p->flow, latch);
	full_barrier();
	return 0;
}

/*
 * setsockopt() writes the wish before it looks for a latch that the socket has noted. So it finds
 * this latch, or the wish is found here.
 */
__noinline int wish_look_again(struct __sk_buff *skb, struct passage *p,
			       struct datagram_socket *socket)
{
	__u16 admitted;

	if (!p || !socket)
		return p ? GATE_PASS : GATE_DROP;
	wish_note_latch(p, socket);
	admitted = p->wish ? p->admitted : 0;
	if (!admitted && !READ_ONCE(socket->wished))
		return GATE_PASS;
	p->admitted = 0;
	if (admitted)
		wish_check(skb, p);
	if (admitted && p->admitted == admitted)
		return GATE_PASS;
	wish_end_latch(p, socket, admitted);
	p->enforced = 1;
	return drop(LATCH_DROP_REQUIRED, p, NULL);
}
