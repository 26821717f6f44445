/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SCTP: an association has one latch per path (RFC 5660 section 5.4). All of them must be of one
 * peer, since the association is one channel. A packet on a path without a latch is assigned to its
 * association by its verification tag or the peer's address. Every packet but INIT carries that
 * tag.
 *
 * A packet arrives here before its policy check: any peer with a tunnel can send it in another
 * address. So a received INIT or COOKIE ECHO makes no latch, and its answer does. A packet on a new
 * path makes one once the kernel has sent to its address.
 */
#ifndef LATCH_BPF_GATE_SCTP_H
#define LATCH_BPF_GATE_SCTP_H

#include "db/association.h"
#include "gate/audit.h"
#include "gate/new_flow.h"
#include "gate/verdict.h"
#include "packet/packet.h"

enum sctp_chunk_type {
	SCTP_INIT = 1,
	SCTP_INIT_ACK = 2,
	SCTP_ABORT = 6,
	SCTP_ERROR = 9,
	SCTP_COOKIE_ECHO = 10,
	SCTP_COOKIE_ACK = 11,
	SCTP_SHUTDOWN_COMPLETE = 14,
	SCTP_AUTH = 15,
};

#define SCTP_TAG_REFLECTED 1 /* T bit: the tag is the sender's own, not the receiver's */

struct sctp_segment {
	__be32 tag;
	__be32 initiate_tag; /* of INIT and INIT ACK */
	__u8 chunk;	     /* type of the first chunk that is not AUTH */
	__u8 reflected;
	__u8 from_here;	   /* received over the loopback device */
	__u8 foreign;	   /* any local user may be root of the namespace */
	__u32 mode;	   /* latch_association.mode, if association is known */
	__u64 association; /* id of the association that its tag belongs to; 0 = unknown */
};

/* Further verdicts beside those of passage.h. */
#define GATE_MARK      3 /* passes after sctp_mark_association() */
#define GATE_UNLATCHED 4 /* sctp_check_path() decides */
#define GATE_NEW_FLOW  5 /* new_flow_check() decides, then sctp_update_path() */

static __always_inline int sctp_chunk_at(const struct packet *packet, __u32 at,
					 struct sctp_chunkhdr *chunk)
{
	return packet_load(packet, at, chunk, sizeof(*chunk)) ? -1 : 0;
}

static __always_inline int sctp_parse(const struct packet *packet, __u32 at, struct sctphdr *header,
				      struct sctp_segment *s)
{
	struct sctp_chunkhdr chunk;
	struct sctp_inithdr init;

	__builtin_memset(s, 0, sizeof(*s));
	if (packet_load(packet, at, header, sizeof(*header)))
		return -1;
	s->tag = header->vtag;
	at += sizeof(*header);
	if (sctp_chunk_at(packet, at, &chunk))
		return -1;
	if (chunk.type == SCTP_AUTH) {
		at += (bpf_ntohs(chunk.length) + 3) & ~3u;
		if (sctp_chunk_at(packet, at, &chunk))
			return -1;
	}
	s->chunk = chunk.type;
	s->reflected = (chunk.type == SCTP_ABORT || chunk.type == SCTP_SHUTDOWN_COMPLETE) &&
		       chunk.flags & SCTP_TAG_REFLECTED;
	if (chunk.type != SCTP_INIT && chunk.type != SCTP_INIT_ACK)
		return 0;
	if (packet_load(packet, at + sizeof(chunk), &init, sizeof(init)))
		return -1;
	s->initiate_tag = init.init_tag;
	return 0;
}

static __always_inline int flow_of_segment(const struct packet *packet, const struct ip_headers *ip,
					   __u64 netns, struct passage *p, struct sctp_segment *s)
{
	struct sctphdr header;

	if (sctp_parse(packet, ip->payload, &header, s))
		return -1;
	flow_of_ports(ip, header.source, header.dest, netns, p->egress, &p->flow);
	return 0;
}

/* The kernel sends and accepts these chunks without an association, too. */
static __always_inline int needs_no_association(const struct sctp_segment *s)
{
	return s->chunk == SCTP_INIT || s->chunk == SCTP_INIT_ACK || s->chunk == SCTP_ABORT ||
	       s->chunk == SCTP_ERROR || s->chunk == SCTP_SHUTDOWN_COMPLETE;
}

/*
 * INIT, and the COOKIE ECHO that arrives when the host keeps no state of the INIT. Their answers:
 * the kernel may send them on another path, or a latch may have ended since.
 */
static __always_inline int sctp_may_start(const struct passage *p, const struct sctp_segment *s)
{
	if (s->chunk == SCTP_INIT)
		return 1;
	return p->egress ? s->chunk == SCTP_INIT_ACK || s->chunk == SCTP_COOKIE_ACK
			 : s->chunk == SCTP_COOKIE_ECHO;
}

static __always_inline enum latch_direction sctp_opened(const struct passage *p,
							const struct sctp_segment *s)
{
	return p->egress && s->chunk == SCTP_INIT ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
}

static __always_inline void tag_key(const struct passage *p, enum latch_association_mark mark,
				    __be32 tag, struct latch_flow *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->netns = p->flow.netns;
	key->local_port = p->flow.local_port;
	key->remote_port = p->flow.remote_port;
	key->protocol = IPPROTO_SCTP_NUMBER;
	key->pad = mark;
	__builtin_memcpy(key->remote_addr, &tag, sizeof(tag));
}

static __always_inline void address_key(const struct passage *p, struct latch_flow *key)
{
	*key = p->flow;
	__builtin_memset(key->local_addr, 0, sizeof(key->local_addr));
	key->pad = LATCH_MARK_ADDRESS;
}

static __always_inline struct latch_association *association_by_tag(const struct passage *p,
								    const struct sctp_segment *s)
{
	struct latch_flow key;
	int local = (!p->egress) ^ s->reflected;

	if (s->chunk == SCTP_INIT && p->egress)
		tag_key(p, LATCH_MARK_LOCAL_TAG, s->initiate_tag, &key);
	else
		tag_key(p, local ? LATCH_MARK_LOCAL_TAG : LATCH_MARK_REMOTE_TAG, s->tag, &key);
	return bpf_map_lookup_elem(&associations, &key);
}

static OWN_FRAME struct latch_association *association_by_address(const struct passage *p)
{
	struct latch_flow key;

	address_key(p, &key);
	return bpf_map_lookup_elem(&associations, &key);
}

/* A packet that the kernel sends proves the association, on this path and under these tags. */
__noinline int sctp_mark_association(struct passage *p, struct sctp_segment *s)
{
	struct latch_association *a;
	struct latch_flow key;
	struct latch *latch;
	union latch_word word;
	__u32 mode;
	__u64 id;
	int err;

	if (!p || !s)
		return GATE_DROP;
	id = s->association;
	latch = latch_find(&p->flow);
	if (!latch)
		return GATE_DROP;
	word = READ_WORD(latch->word);
	tag_key(p, LATCH_MARK_LOCAL_TAG, latch->tag_seen, &key);
	a = bpf_map_lookup_elem(&associations, &key);
	mode = id ? s->mode : a ? a->mode : latch->decided;
	if (!id)
		id = a ? a->id : 0;
	if (!id) {
		struct latch_clock *clock = clock_get();

		id = clock ? __sync_fetch_and_add(&clock->latch_id, 1) + 1 : latch->id;
	}
	err = latch->tag_seen ? record_mark(&key, id, word.params, s->foreign, mode) : 0;
	if (s->chunk != SCTP_INIT) {
		tag_key(p, LATCH_MARK_REMOTE_TAG, s->tag, &key);
		err |= record_mark(&key, id, word.params, s->foreign, mode);
		address_key(p, &key);
		err |= record_mark(&key, id, word.params, s->foreign, mode);
		latch->owner = LATCH_OWNER_SOCKET;
		latch->owner_since = bpf_ktime_get_boot_ns();
	}
	latch->association = id;
	return err ? drop(LATCH_DROP_LATCHES_FULL, p, latch) : GATE_PASS;
}

/* The latch may be an association's already: the next packet that is sent then marks the tag. */
static __always_inline void note_received_tag(struct latch *latch, __be32 tag)
{
	union latch_word word = READ_WORD(latch->word);

	if (!latch->tag_seen && word.state != LATCH_STATE_BROKEN)
		latch->owner = LATCH_OWNER_HANDSHAKE;
	latch->tag_seen = tag;
}

/* Call it after the latch has passed the packet. */
static __always_inline int update_association(struct passage *p, struct sctp_segment *s,
					      struct latch *latch, struct latch_association *a)
{
	union latch_word word = READ_WORD(latch->word);

	/* An INIT makes no association known, so the next INIT is checked anew. */
	if (s->chunk == SCTP_INIT && is_provisional(latch)) {
		if (p->egress)
			latch->tag_seen = s->initiate_tag;
		return GATE_PASS;
	}
	/* Any peer may have sent it, with the tag of its own association. */
	if (!p->egress && word.state == LATCH_STATE_LARVAL)
		return GATE_PASS;
	if (a && a->params && word.params && a->params != word.params)
		return drop(mismatch_reason(a->params, word.params), p, latch);
	if (a && !latch->association)
		latch->association = a->id;
	if (!p->egress) {
		if (!needs_no_association(s) && latch->tag_seen != s->tag)
			note_received_tag(latch, s->tag);
		return GATE_PASS;
	}
	/* The COOKIE ECHO may arrive on another path. A restart has a new tag only with its own. */
	if (s->chunk == SCTP_INIT_ACK && !latch->tag_seen)
		latch->tag_seen = s->initiate_tag;
	if (s->chunk == SCTP_INIT)
		latch->tag_seen = s->initiate_tag;
	else if (needs_no_association(s))
		return GATE_PASS;
	if (a && a->id == latch->association && a->params == word.params &&
	    (latch->owner == LATCH_OWNER_SOCKET || s->chunk == SCTP_INIT))
		return GATE_PASS;
	s->association = a ? a->id : 0;
	s->mode = a ? a->mode : 0;
	return GATE_MARK;
}

/* Enforcement may have broken another path of the association. */
static __always_inline void decide_by_association(struct passage *p, struct latch_association *a)
{
	p->enforced = a->mode != mode_get();
}

/* A path that joins a latched association passes under an SA of the same params, or is dropped. */
static __always_inline int check_new_path(struct passage *p, struct latch_association *a)
{
	enum latch_drop contest;
	union latch_sa_word word;
	struct latch_sa *sa;

	decide_by_association(p, a);
	switch (p->protection) {
	case PACKET_PLAIN:
		return drop(LATCH_DROP_PLAINTEXT, p, NULL);
	case PACKET_NESTED:
		return drop(LATCH_DROP_NESTED, p, NULL);
	case PACKET_MALFORMED:
		return drop(LATCH_DROP_MALFORMED, p, NULL);
	case PACKET_MERGED:
		return drop(LATCH_DROP_MERGED, p, NULL);
	case PACKET_OTHER_MODE:
		return drop(LATCH_DROP_OTHER_MODE, p, NULL);
	case PACKET_PROTECTED:
		break;
	}
	sa = sa_find(&p->sa);
	if (!sa)
		return drop(LATCH_DROP_SA_UNKNOWN, p, NULL);
	word = READ_WORD(sa->word);
	if (word.flags & LATCH_SA_AMBIGUOUS)
		return drop(LATCH_DROP_AMBIGUOUS, p, NULL);
	if (word.state != LATCH_SA_BOUND || !a->params)
		return drop(LATCH_DROP_SA_PENDING, p, NULL);
	if (word.params != a->params)
		return drop(mismatch_reason(a->params, word.params), p, NULL);
	rule_of(&p->flow, LATCH_DIRECTION_NONE, &p->rule);
	contest = contest_of(p, word);
	if (contest == LATCH_DROP_CONTESTED)
		return refuse(p, contest) == GATE_PASS ? GATE_PASS : GATE_DROP;
	if (contest != REJECT_NONE)
		return drop(contest, p, NULL);
	/*
	 * A refused packet does not refresh the mark: any host may send an INIT in the peer's
	 * name.
	 */
	if (p->may_start)
		a->changed = bpf_ktime_get_boot_ns();
	return new_flow_latch(p, word.params);
}

/* The association is unknown: the packet passes unlatched, unless a rule forbids it. */
static __always_inline int check_unassociated(struct passage *p, const struct sctp_segment *s)
{
	if (sctp_may_start(p, s)) {
		p->opened = sctp_opened(p, s);
		return GATE_NEW_FLOW;
	}
	rule_of(&p->flow, p->opened, &p->rule);
	if (p->rule.action != LATCH_ACTION_REQUIRE)
		return GATE_PASS;
	return refuse(p, LATCH_DROP_REQUIRED) == GATE_PASS ? GATE_PASS : GATE_DROP;
}

static __always_inline int check_path(struct passage *p, struct sctp_segment *s,
				      struct latch_association *a)
{
	struct latch_association *known;
	struct latch_flow key;

	/* The peer's address belongs to the association, even if the packet is dropped later. */
	if (a && p->egress && !needs_no_association(s)) {
		decide_by_association(p, a);
		address_key(p, &key);
		if (record_mark(&key, a->id, a->params, s->foreign, a->mode))
			return drop(LATCH_DROP_LATCHES_FULL, p, NULL);
	}
	known = association_by_address(p);
	if (!a)
		a = known;
	if (!a)
		return check_unassociated(p, s);
	/* A peer can send the tag of its own association in any address. */
	p->may_start = p->egress || (known && known->id == a->id);
	return check_new_path(p, a);
}

/* Global functions: the verifier checks each once. */

__noinline int sctp_check_path(struct passage *p, struct sctp_segment *s)
{
	return p && s ? check_path(p, s, association_by_tag(p, s)) : GATE_DROP;
}

/* Call it after a packet has passed on the path, with or without a latch. */
__noinline int sctp_update_path(struct passage *p, struct sctp_segment *s)
{
	struct latch *latch;

	if (!p || !s)
		return GATE_DROP;
	latch = latch_find(&p->flow);
	return latch ? update_association(p, s, latch, association_by_tag(p, s)) : GATE_PASS;
}

/* True: an ABORT by latchd (sctp_abort.h), which has no SA. Only root of this namespace can forge
 * such an ABORT. */
static __always_inline int is_latchd_abort(const struct passage *p, const struct sctp_segment *s,
					   const struct latch *latch)
{
	union latch_word word = READ_WORD(latch->word);

	return !p->egress && s->from_here && s->chunk == SCTP_ABORT &&
	       word.state == LATCH_STATE_BROKEN;
}

__noinline int sctp_check(struct passage *p, struct sctp_segment *s)
{
	struct latch *latch;

	if (!p || !s)
		return GATE_DROP;
	count(LATCH_COUNTER_SLOW_PATH);
	latch = latch_find(&p->flow);
	if (latch && (s->chunk == SCTP_INIT || (p->egress && s->chunk == SCTP_INIT_ACK)) &&
	    is_provisional(latch)) {
		p->opened = sctp_opened(p, s);
		if (audit_check_anew(p))
			latch = NULL;
	}
	if (!latch)
		return GATE_UNLATCHED;
	if (is_latchd_abort(p, s, latch))
		return GATE_PASS;
	if (is_larval(latch) && new_flow_check_larval(p) != GATE_PASS)
		return GATE_DROP;
	if (pass_latched(p, latch) != GATE_PASS)
		return GATE_DROP;
	/* A received packet that passes in audit mode only does not update the association of a
	 * latch that is not BROKEN. */
	if (p->audited && !p->egress && READ_ONCE(latch->word.state) != LATCH_STATE_BROKEN)
		return GATE_PASS;
	return update_association(p, s, latch, association_by_tag(p, s));
}

/* The verifier does not know what these functions return. */
static __always_inline int sctp_verdict(struct passage *p, struct sctp_segment *s)
{
	int verdict = sctp_check(p, s), joins = verdict == GATE_UNLATCHED;

	if (joins)
		verdict = sctp_check_path(p, s);
	if (verdict == GATE_NEW_FLOW) {
		verdict = new_flow_check(p);
		if (p->audited)
			audit_begin(p, s->foreign);
	}
	if (joins && verdict == GATE_PASS)
		verdict = sctp_update_path(p, s);
	return verdict == GATE_MARK ? sctp_mark_association(p, s) : verdict;
}

#endif
