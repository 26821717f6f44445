/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The controller's operations on latches, SAs and rules. The controller runs this program instead
 * of updating the maps. Every step thus goes through the state machine, and is atomic with
 * respect to the gates.
 */
#include "db/association.h"
#include "db/latch_flags.h"
#include "db/listener.h"
#include "db/news.h"
#include "db/sa_claim.h"

/* In audit mode: enforcement would have ended this flow, even if no packet follows. */
static OWN_FRAME int note_broken(const struct latch_flow *flow, struct latch *latch)
{
	union latch_word word = READ_WORD(latch->word);
	__u32 mode = mode_get();
	struct audit_note note = {
		.key = {.rule = latch->rule,
			.rule_set = latch->rule_set,
			.drop = LATCH_DROP_BROKEN,
			.reasons = word.reasons,
			.params = word.params},
		.direction = latch->direction,
	};

	if (!latch_mode_passes_latch(mode, latch))
		return 0;
	note.flows = audit_first_of(latch, LATCH_DROP_BROKEN, mode);
	return audit_add(flow, &note);
}

static OWN_FRAME void control_latch(struct latch_control *c, enum latch_trigger trigger)
{
	struct latch_flow flow = c->flow;
	struct latch *latch = bpf_map_lookup_elem(&latches, &flow);
	union latch_word after = {};

	if (!latch) {
		c->result = LATCH_CONTROL_NOT_FOUND;
		return;
	}
	c->result = latch_step(&flow, latch, c->latch_id, trigger, c->reasons, &after);
	c->word.raw = after.raw;
	if (c->result == LATCH_CONTROL_DONE && after.state == LATCH_STATE_BROKEN)
		note_broken(&flow, latch);
}

/*
 * The controller has lost the identities. Enforcement closes such a latch; in audit mode it stays,
 * since its socket would be blocked without it.
 */
static OWN_FRAME int control_forget_peer(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	struct latch *latch = bpf_map_lookup_elem(&latches, &flow);
	struct latch_position now, next;
	union latch_word was, is;
	__u8 reasons;
	__u32 mode;

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!latch || latch->id != c->latch_id)
		return 0;
	is = was = READ_WORD(latch->word);
	now.state = was.state;
	now.reasons = was.reasons;
	reasons = LATCH_REASON_REFUSED;
	if (!(was.reasons & LATCH_REASON_REFUSED))
		reasons |= LATCH_REASON_ADMIN;
	c->result = LATCH_CONTROL_REFUSED;
	if (latch_fsm_step(now,
			   was.state == LATCH_STATE_LARVAL ? LATCH_TRIGGER_CREATE
							   : LATCH_TRIGGER_BREAK,
			   reasons, &next) == LATCH_OUTCOME_REFUSED)
		return 0;
	is.state = next.state;
	is.reasons = next.reasons;
	is.params = 0;
	is.generation = next_generation();
	c->result = LATCH_CONTROL_AGAIN;
	mode = mode_get();
	if (__sync_val_compare_and_swap(&latch->word.raw, was.raw, is.raw) != was.raw)
		return 0;
	if (is_decided(was.state, next.state))
		latch->decided = mode;
	latch->refused_params = 0;
	uncount_foreign_larval(latch);
	flow_changed(&flow);
	c->result = LATCH_CONTROL_DONE;
	return 0;
}

/*
 * An SCTP socket keeps no state. Without the closed latch, its next packet would be the first of
 * the path and would create a new latch. The closed latch has no peer.
 */
static __always_inline void keep_closed(struct latch *latch, union latch_word was)
{
	union latch_word is = was;

	is.params = 0;
	if (__sync_val_compare_and_swap(&latch->word.raw, was.raw, is.raw) == was.raw)
		uncount_foreign_larval(latch);
}

static OWN_FRAME void control_close(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	struct latch_end end = {};
	struct latch *latch;
	__u64 cookie;

	latch = bpf_map_lookup_elem(&latches, &flow);
	if (!latch) {
		c->result = LATCH_CONTROL_NOT_FOUND;
		return;
	}
	cookie = READ_ONCE(latch->socket_cookie);
	latch_end_of(latch, c->latch_id, &end);
	c->result = latch_step(&flow, latch, c->latch_id, LATCH_TRIGGER_CLOSE, 0, &end.word);
	c->word.raw = end.word.raw;
	if (c->result != LATCH_CONTROL_DONE)
		return;
	if (flow.protocol == IPPROTO_SCTP_NUMBER)
		keep_closed(latch, end.word);
	else
		latch_remove(&flow, latch, c->latch_id);
	latch_closed_event(&flow, &end);
	news_closed(cookie, &flow, c->latch_id, end.word.raw);
}

/* While the latch is ESTABLISHED the socket's RST may leave, so it does not break before its end.
 */
static OWN_FRAME int control_closing(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	struct latch *latch = bpf_map_lookup_elem(&latches, &flow);

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!latch || READ_ONCE(latch->id) != c->latch_id)
		return 0;
	if (c->reasons)
		latch_set_flag(latch, LATCH_RULE_CLOSING);
	else
		latch_clear_flag(latch, LATCH_RULE_CLOSING);
	c->result = LATCH_CONTROL_DONE;
	return 0;
}

static OWN_FRAME void control_reap(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	__u64 id = 0, cookie, word;
	struct latch *latch = latch_read(&flow, &id);

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!latch || id != c->latch_id || READ_ONCE(latch->owner_since) != c->owner_since)
		return;
	cookie = READ_ONCE(latch->socket_cookie);
	word = READ_WORD(latch->word).raw;
	c->result = latch_release(&flow, latch, id);
	if (c->result == LATCH_CONTROL_DONE)
		news_closed(cookie, &flow, id, word);
}

/*
 * The SA waits for its key manager again. With its old time it could be beyond the pending limit,
 * so that new flows would not wait.
 */
static __always_inline enum latch_control_result sa_unbind(const struct latch_sa_key *key,
							   struct latch_sa *sa,
							   union latch_sa_word was,
							   union latch_sa_word is)
{
	long err;

	if (!sa_hold(key, sa, was))
		return LATCH_CONTROL_AGAIN;
	sa->installed = bpf_ktime_get_boot_ns();
	err = sa_finish(key, sa, is);
	if (err == -ENOENT)
		return LATCH_CONTROL_NOT_FOUND;
	return err ? LATCH_CONTROL_AGAIN : LATCH_CONTROL_DONE;
}

/* The SA with this serial; NULL: there is none to write, and the result has the reason. */
static __always_inline struct latch_sa *
sa_to_write(struct latch_control *c, const struct latch_sa_key *key, union latch_sa_word *was)
{
	struct latch_sa *sa = bpf_map_lookup_elem(&sas, key);

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!sa)
		return NULL;
	*was = READ_WORD(sa->word);
	if (was->serial != c->serial || was->flags & LATCH_SA_GONE)
		return NULL;
	c->result = LATCH_CONTROL_AGAIN;
	return was->flags & LATCH_SA_CLAIMED ? NULL : sa;
}

static OWN_FRAME void control_sa_set(struct latch_control *c)
{
	struct latch_sa_key key = c->sa;
	union latch_sa_word was = {}, is;
	struct latch_sa *sa = sa_to_write(c, &key, &was);

	if (!sa)
		return;
	is.raw = was.raw;
	is.state = c->sa_state;
	is.params = c->params;
	is.flags = was.flags & ~(LATCH_SA_CONTESTED | LATCH_SA_UNPROVEN);
	is.flags |= c->contested ? LATCH_SA_CONTESTED : 0;
	if (is.raw == was.raw)
		c->result = LATCH_CONTROL_UNCHANGED;
	else if (c->sa_state == LATCH_SA_PENDING)
		c->result = sa_unbind(&key, sa, was, is);
	else if (sa_swap(&key, sa, was, is))
		c->result = LATCH_CONTROL_DONE;
}

/* This decides neither an SA with a peer, nor an SA that shares its entry with another SA. */
static OWN_FRAME void control_sa_unproven(struct latch_control *c)
{
	struct latch_sa_key key = c->sa;
	union latch_sa_word was = {}, is;
	struct latch_sa *sa = sa_to_write(c, &key, &was);

	if (!sa)
		return;
	is = was;
	is.flags |= LATCH_SA_UNPROVEN;
	if (was.state != LATCH_SA_PENDING || was.flags & LATCH_SA_AMBIGUOUS)
		c->result = LATCH_CONTROL_REFUSED;
	else if (is.raw == was.raw)
		c->result = LATCH_CONTROL_UNCHANGED;
	else if (sa_swap(&key, sa, was, is))
		c->result = LATCH_CONTROL_DONE;
}

/* The kernel has an SA, and the table has an entry under its key. If the marks differ, the entry is
 * another SA's. */
static __always_inline enum latch_control_result sa_meet(const struct latch_sa_key *key,
							 struct latch_sa *known,
							 union latch_sa_word was,
							 const struct latch_sa *sa)
{
	union latch_sa_word is = was;

	is.flags |= LATCH_SA_AMBIGUOUS;
	if ((known->mark == sa->mark && known->mark_mask == sa->mark_mask) || is.raw == was.raw)
		return LATCH_CONTROL_UNCHANGED;
	if (!sa_swap(key, known, was, is))
		return LATCH_CONTROL_AGAIN;
	return LATCH_CONTROL_UNCHANGED;
}

/*
 * The programs did not see the installation of this SA, so its peer is unknown. The SA starts as
 * PENDING, like a new one.
 */
static OWN_FRAME void control_sa_adopt(struct latch_control *c)
{
	struct latch_clock *clock = clock_get();
	struct latch_sa_key key = c->sa;
	struct latch_sa sa = c->sa_value;
	__u8 flags = sa.word.flags & LATCH_SA_FOREIGN;
	__u32 slot = sa_share_slot(&key, &sa);
	union latch_sa_word was = {};
	struct latch_sa *known;
	long err;

	/* Another processor deletes or replaces the entry, with a result that is not known yet. */
	c->result = LATCH_CONTROL_AGAIN;
	known = sa_read(&key, &was);
	if (known && was.flags & LATCH_SA_GONE && sa_delete(&key, known, was.serial))
		return;
	if (known && !(was.flags & LATCH_SA_GONE)) {
		c->result = sa_meet(&key, known, was, &sa);
		return;
	}
	c->result = LATCH_CONTROL_OVER_SHARE;
	if (!sa_share_take(slot))
		return;
	c->result = LATCH_CONTROL_FULL;
	if (flags && (!clock || !count_foreign_sa(clock))) {
		sa_share_give(slot);
		return;
	}
	sa.word.raw = 0;
	sa.word.state = LATCH_SA_PENDING;
	sa.word.flags = flags;
	if (clock)
		sa.word.serial = __sync_fetch_and_add(&clock->sa_serial, 1) + 1;
	sa.instance = 0;
	sa.installed = bpf_ktime_get_boot_ns();
	err = bpf_map_update_elem(&sas, &key, &sa, BPF_NOEXIST);
	if (err) {
		uncount_foreign_sa(flags);
		sa_share_give(slot);
	}
	c->result = LATCH_CONTROL_DONE;
	if (err && bpf_map_lookup_elem(&sas, &key)) {
		c->result = LATCH_CONTROL_UNCHANGED;
	} else if (err) {
		count(LATCH_COUNTER_SAS_FULL);
		c->result = LATCH_CONTROL_FULL;
	}
}

static OWN_FRAME void control_sa_forget(struct latch_control *c)
{
	struct latch_sa_key key = c->sa;
	struct latch_sa *sa = bpf_map_lookup_elem(&sas, &key);

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!sa || sa->word.serial != c->serial)
		return;
	c->result = LATCH_CONTROL_AGAIN;
	if (sa_delete(&key, sa, c->serial))
		return;
	if (c->op == LATCH_CONTROL_SA_REFUSE)
		count(LATCH_COUNTER_SAS_OVER_QUOTA);
	c->result = LATCH_CONTROL_DONE;
}

/* Only the controller changes rules. It has written the other half before this step. */
static __always_inline void control_rules(struct latch_control *c)
{
	struct latch_settings *s = settings_get();
	union rules_word word;

	c->result = LATCH_CONTROL_REFUSED;
	if (!s || c->rule_count > LATCH_RULES_MAX)
		return;
	word.raw = READ_ONCE(*rules_word_of(s));
	word.count = c->rule_count;
	word.stamp++;
	__sync_lock_test_and_set(rules_word_of(s), word.raw);
	all_changed();
	c->result = LATCH_CONTROL_DONE;
}

/* The controller has emptied the audit table before. */
static OWN_FRAME int control_mode(struct latch_control *c)
{
	struct latch_settings *s = settings_get();
	struct latch_clock *clock = clock_get();
	__u32 mode;

	c->result = LATCH_CONTROL_REFUSED;
	if (!s || !clock)
		return 0;
	mode = latch_mode_next(s->mode, c->audit);
	c->result = LATCH_CONTROL_UNCHANGED;
	if (mode == s->mode)
		return 0;
	if (c->audit)
		clock->audit_unmarked = 0;
	s->mode_since = bpf_ktime_get_boot_ns();
	WRITE_ONCE(s->mode, mode);
	all_changed();
	c->result = LATCH_CONTROL_DONE;
	return 0;
}

static OWN_FRAME void control_rule_of(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	struct rule_decision decision = {};

	c->rule = rule_of(&flow, c->direction, &decision);
	c->result = decision.undecided ? LATCH_CONTROL_AGAIN : LATCH_CONTROL_DONE;
}

/* Not a transition: the step changes spd only, in any state. */
static __always_inline void control_spd_seen(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	struct latch *latch = bpf_map_lookup_elem(&latches, &flow);

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!latch || latch->id != c->latch_id)
		return;
	c->result = LATCH_CONTROL_UNCHANGED;
	c->word.raw = latch->word.raw;
	if ((latch->spd & c->spd) == c->spd)
		return;
	latch->spd |= c->spd;
	c->result = LATCH_CONTROL_DONE;
}

/*
 * Sets the number of sockets that a dump found. They may have been listening before the programs
 * were attached, or have left without a callback. Does nothing if a socket has joined or left
 * since the controller read the latch.
 */
static OWN_FRAME void control_listen(struct latch_control *c)
{
	struct latch_flow flow = c->flow;
	union latch_word seen = c->word, now = {};
	struct latch *latch;

	c->result = LATCH_CONTROL_NOT_FOUND;
	latch = listener_read(&flow, &now);
	if (!latch && !seen.raw && c->params) {
		int err = listener_insert(&flow, c->params, 0);

		c->result = !err	     ? LATCH_CONTROL_DONE
			    : err == -EEXIST ? LATCH_CONTROL_NOT_FOUND
					     : LATCH_CONTROL_FULL;
		return;
	}
	if (!latch || now.raw != seen.raw)
		return;
	c->result = LATCH_CONTROL_REFUSED;
	if (now.state != LATCH_STATE_LISTENER)
		return;
	c->result = LATCH_CONTROL_UNCHANGED;
	if (now.params != c->params)
		c->result = listener_set(&flow, latch, now, c->params) ? LATCH_CONTROL_NOT_FOUND
								       : LATCH_CONTROL_DONE;
}

/* Unless a packet on a new path has just used the association. */
static OWN_FRAME void control_association_forget(struct latch_control *c)
{
	struct latch_flow key = c->flow;
	struct latch_association *a = bpf_map_lookup_elem(&associations, &key);

	c->result = LATCH_CONTROL_NOT_FOUND;
	if (!a || a->id != c->latch_id || a->changed != c->owner_since ||
	    forget_mark(&key, a->foreign))
		return;
	c->result = LATCH_CONTROL_DONE;
}

SEC("syscall")
int latch_control(struct latch_control *c)
{
	switch (c->op) {
	case LATCH_CONTROL_BREAK:
		control_latch(c, LATCH_TRIGGER_BREAK);
		return 0;
	case LATCH_CONTROL_HEAL:
		control_latch(c, LATCH_TRIGGER_HEAL);
		return 0;
	case LATCH_CONTROL_CLOSE:
		control_close(c);
		return 0;
	case LATCH_CONTROL_CLOSING:
		control_closing(c);
		return 0;
	case LATCH_CONTROL_FORGET_PEER:
		control_forget_peer(c);
		return 0;
	case LATCH_CONTROL_REAP:
		control_reap(c);
		return 0;
	case LATCH_CONTROL_SA_SET:
		control_sa_set(c);
		return 0;
	case LATCH_CONTROL_SA_UNPROVEN:
		control_sa_unproven(c);
		return 0;
	case LATCH_CONTROL_SA_ADOPT:
		control_sa_adopt(c);
		return 0;
	case LATCH_CONTROL_SA_FORGET:
	case LATCH_CONTROL_SA_REFUSE:
		control_sa_forget(c);
		return 0;
	case LATCH_CONTROL_SPD_SEEN:
		control_spd_seen(c);
		return 0;
	case LATCH_CONTROL_ASSOCIATION_FORGET:
		control_association_forget(c);
		return 0;
	case LATCH_CONTROL_RESTAMP:
		all_changed();
		c->result = LATCH_CONTROL_DONE;
		return 0;
	case LATCH_CONTROL_LISTEN:
		control_listen(c);
		return 0;
	case LATCH_CONTROL_RULES:
		control_rules(c);
		return 0;
	case LATCH_CONTROL_MODE:
		control_mode(c);
		return 0;
	case LATCH_CONTROL_RULE_OF:
		control_rule_of(c);
		return 0;
	}
	c->result = LATCH_CONTROL_REFUSED;
	return 0;
}
