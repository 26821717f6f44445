/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The check of a packet of a latched flow, and what an SA allows; both gates use it. Drops a packet
 * in clear, under another peer's or an unattributed SA, and all of a BROKEN latch. Decides what
 * passes under a LARVAL latch, and which packet makes it ESTABLISHED.
 */
#ifndef LATCH_BPF_GATE_VERDICT_H
#define LATCH_BPF_GATE_VERDICT_H

#include "db/latch_db.h"
#include "db/pair.h"
#include "gate/refusal.h"
#include "gate/pending_limit.h"

static __always_inline enum latch_drop mismatch_reason(__u16 latched, __u16 carried)
{
	__u32 key = latched;
	struct latch_params *want = bpf_map_lookup_elem(&params, &key);
	struct latch_params *got;

	key = carried;
	got = bpf_map_lookup_elem(&params, &key);
	if (want && got && want->peer_id == got->peer_id && want->local_id == got->local_id)
		return LATCH_DROP_QOP;
	return LATCH_DROP_IDENTITY;
}

static __always_inline void record_spi(const struct passage *p, struct latch *latch)
{
	if (p->egress && latch->spi_out != p->sa.spi)
		latch->spi_out = p->sa.spi;
	else if (!p->egress && latch->spi_in != p->sa.spi)
		latch->spi_in = p->sa.spi;
}

#define REJECT_NONE LATCH_DROP_COUNT

/*
 * The reason why a bound SA creates no latch for this flow, although its peer is known: the kernel
 * may use an SA with other params, too (R-2.3-8). The mark of the SA is for all its flows; latchd
 * decides for two addresses.
 */
static __always_inline enum latch_drop contest_of(struct passage *p, union latch_sa_word word)
{
	int decision;

	if (!(word.flags & LATCH_SA_CONTESTED))
		return REJECT_NONE;
	p->contested = word.params;
	decision = pair_decision(&p->flow, word.params);
	if (decision == LATCH_PAIR_ALONE)
		return REJECT_NONE;
	return decision == LATCH_PAIR_CONTESTED ? LATCH_DROP_CONFLICT : LATCH_DROP_CONTESTED;
}

/*
 * The reason why the packet's SA cannot create an ESTABLISHED latch. REJECT_NONE: it can, and
 * *ret_params are its params.
 */
static __always_inline enum latch_drop reject_reason(struct passage *p, __u16 *ret_params)
{
	union latch_sa_word word;
	struct latch_sa *sa;

	if (p->protection == PACKET_MALFORMED)
		return LATCH_DROP_MALFORMED;
	if (p->protection == PACKET_MERGED)
		return LATCH_DROP_MERGED;
	if (p->protection == PACKET_OTHER_MODE)
		return LATCH_DROP_OTHER_MODE;
	if (p->protection != PACKET_PROTECTED)
		return LATCH_DROP_REQUIRED;
	sa = sa_find(&p->sa);
	if (!sa)
		return LATCH_DROP_REQUIRED;
	word = READ_WORD(sa->word);
	if (word.state == LATCH_SA_PENDING && is_awaited(p, sa, word))
		return LATCH_DROP_SA_PENDING;
	if (word.state != LATCH_SA_BOUND || word.flags & LATCH_SA_AMBIGUOUS)
		return LATCH_DROP_REQUIRED;
	*ret_params = word.params;
	return contest_of(p, word);
}

static __always_inline int is_contest(enum latch_drop why)
{
	return why == LATCH_DROP_CONFLICT || why == LATCH_DROP_CONTESTED;
}

/* Rejects a packet that needs a latch by a rule, and cannot create one. */
static __always_inline int reject(struct passage *p, enum latch_drop why)
{
	if (why == LATCH_DROP_SA_PENDING)
		return drop(why, p, NULL);
	return refuse(p, why);
}

static __always_inline int is_larval(const struct latch *latch)
{
	union latch_word word = READ_WORD(latch->word);

	return word.state == LATCH_STATE_LARVAL;
}

/* SAs of a peer that latchd refuses stay unattributed, so they never match the latch. */
static __always_inline enum latch_drop mismatch_or_unknown(__u16 want, __u16 got)
{
	return got ? mismatch_reason(want, got) : LATCH_DROP_SA_PENDING;
}

/*
 * A socket may send datagrams under SAs of other peers: datagrams of its former connection, or
 * to addresses that the application has named.
 */
static __always_inline int proves_peer(const struct passage *p)
{
	return p->flow.protocol != IPPROTO_UDP_NUMBER || !p->egress || !p->socket_cookie ||
	       p->may_start;
}

/*
 * A LARVAL latch passes packets under unattributed SAs, but no packets in clear. The first
 * attributed SA makes it ESTABLISHED, once the kernel has accepted it for the packet's address. If
 * the flow began under an SA of a known peer that could create no latch, only SAs of that peer
 * carry it.
 */
static __always_inline int pass_larval(struct passage *p, struct latch *latch,
				       union latch_word word)
{
	union latch_sa_word sa_word;
	struct latch_sa *sa = sa_find(&p->sa);
	enum latch_drop contest;
	int verdict;

	/* A refused SA is not in the table. It must not carry a flow with a known peer. */
	if (!sa)
		return word.params || p->wish ? drop(LATCH_DROP_SA_UNKNOWN, p, latch) : GATE_PASS;
	sa_word = READ_WORD(sa->word);
	if (sa_word.state == LATCH_SA_PENDING && is_awaited(p, sa, sa_word))
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	if (word.params && sa_word.params != word.params)
		return drop(mismatch_or_unknown(word.params, sa_word.params), p, latch);
	if (is_unwished(p, sa_word.params))
		return drop(unwished_reason(p, LATCH_DROP_SA_PENDING), p, latch);
	if (sa_word.state != LATCH_SA_BOUND || sa_word.flags & LATCH_SA_AMBIGUOUS)
		return p->wish ? drop(LATCH_DROP_SA_PENDING, p, latch) : GATE_PASS;
	contest = contest_of(p, sa_word);
	if (contest == LATCH_DROP_CONTESTED)
		return refuse(p, contest);
	if (contest != REJECT_NONE) {
		verdict = drop(contest, p, latch);
		p->refused |= verdict == GATE_PASS;
		return verdict;
	}
	if (!proves_peer(p) || is_before_policy(p))
		return GATE_PASS;
	if (latch_establish(&p->flow, latch, word, sa_word.params))
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	record_spi(p, latch);
	return GATE_PASS;
}

/* The sets have changed since this socket got its latch. They count when a connection begins. */
static __always_inline int forgets_tag(const struct passage *p, const struct latch *latch)
{
	return p->wish_why == LATCH_WHY_TAG && latch->rule_flags & LATCH_RULE_WISHED &&
	       READ_ONCE(latch->socket_cookie) == p->socket_cookie;
}

static __always_inline int pass_established(struct passage *p, struct latch *latch,
					    union latch_word word)
{
	union latch_sa_word sa_word;
	struct latch_sa *sa = sa_find(&p->sa);

	if (!sa)
		return drop(LATCH_DROP_SA_UNKNOWN, p, latch);
	sa_word = READ_WORD(sa->word);
	if (sa_word.flags & LATCH_SA_AMBIGUOUS)
		return drop(LATCH_DROP_AMBIGUOUS, p, latch);
	if (sa_word.state == LATCH_SA_PENDING || sa_word.state == LATCH_SA_NONE)
		return drop(LATCH_DROP_SA_PENDING, p, latch);
	if (sa_word.params != word.params)
		return drop(mismatch_reason(word.params, sa_word.params), p, latch);
	/* Another listener of the port, with other wishes, has made the latch. */
	if (p->wish && sa_word.params != p->admitted && !forgets_tag(p, latch))
		return drop(unwished_reason(p, LATCH_DROP_SA_PENDING), p, latch);
	record_spi(p, latch);
	p->lasts = 1;
	return GATE_PASS;
}

static OWN_FRAME int pass_latched(struct passage *p, struct latch *latch)
{
	union latch_word word = READ_WORD(latch->word);

	if (word.state != LATCH_STATE_ESTABLISHED && word.state != LATCH_STATE_LARVAL)
		return drop(LATCH_DROP_BROKEN, p, latch);
	switch (p->protection) {
	case PACKET_PLAIN:
		return drop(LATCH_DROP_PLAINTEXT, p, latch);
	case PACKET_NESTED:
		return drop(LATCH_DROP_NESTED, p, latch);
	case PACKET_MALFORMED:
		return drop(LATCH_DROP_MALFORMED, p, latch);
	case PACKET_MERGED:
		return drop(LATCH_DROP_MERGED, p, latch);
	case PACKET_OTHER_MODE:
		return drop(LATCH_DROP_OTHER_MODE, p, latch);
	case PACKET_PROTECTED:
		break;
	}
	return word.state == LATCH_STATE_LARVAL ? pass_larval(p, latch, word)
						: pass_established(p, latch, word);
}

#endif
