/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of "latchctl explain": cause and next step. Names in quotation marks are data. */
#include "latchd/report/explain_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"
#include "latchd/report/explain_words.h"

/* ---- what broke a latch */

static void on_conflict(const struct history_record *record, struct explain_texts *ret)
{
	char want[NAME_SIZE], got[NAME_SIZE];
	bool same = record->want.known && record->got.known &&
		    !strcmp(record->want.peer.id, record->got.peer.id);

	if (!record->got.known)
		CAUSE("an SA with other parameters could carry it; its owner is not recorded, see "
		      "the log");
	else if (same)
		CAUSE("another SA of its own peer %s, with other parameters, could carry it",
		      name_of(got, &record->got));
	else
		CAUSE("it is latched to %s, and an SA of %s could carry it",
		      name_of(want, &record->want), name_of(got, &record->got));
	if (same)
		NEXT("use one proposal (esp_proposals, mode, local id) for all CHILD_SAs of this "
		     "traffic; latchctl sa shows them");
	else
		NEXT("find out which peer should have the remote address: swanctl --list-sas, "
		     "latchctl sa; take the other one's address range or credentials away; if the "
		     "other one is the rightful peer, connect again when the SAs of the first one "
		     "are gone");
}

static void on_spd_change(const struct history_record *record, struct explain_texts *ret)
{
	const struct news_policy *policy = &record->policy;

	CAUSE("the IPsec policies no longer protect it as it was latched");
	if (record->has_policy && policy->is_default)
		CAUSE(": no policy for packets %s is left, and the default is %s",
		      policy->direction, policy->action);
	else if (record->has_policy)
		CAUSE(": the policy that decides over packets %s is %s (priority %u)",
		      policy->direction, policy->action, policy->priority);
	NEXT("install the policy again: swanctl --load-all, ip xfrm policy; for edits that are to "
	     "come: on-policy-change = protect in a [rule] of latchd.conf");
}

static void on_admin(const struct history_record *record, uint64_t latch_id, bool gone,
		     struct explain_texts *ret)
{
	CAUSE("an administrator has %s it", gone && record->reset ? "closed" : "broken");
	if (record->has_requester)
		CAUSE(" (pid %d", (int)record->requester.pid);
	if (record->has_requester && record->requester.login_uid != NEWS_NO_LOGIN)
		CAUSE(", login uid %u", record->requester.login_uid);
	if (record->has_requester)
		CAUSE(")");
	if (!gone)
		NEXT("latchctl heal %" PRIx64, latch_id);
}

static void on_mark(const struct explanation *e, bool gone, struct explain_texts *ret)
{
	CAUSE("it began in audit mode, where enforcement would have refused it");
	if (!gone && e->latch.refusal)
		CAUSE(" (%s)", latch_drop_name((enum latch_drop)e->latch.refusal));
	NEXT("make its peer prove itself before enforcement begins: latchctl audit shows what is "
	     "missing; then connect again");
}

static void on_reason(const struct explanation *e, uint8_t reason, struct explain_texts *ret)
{
	const struct history_record *record = &e->record;
	bool gone = e->found != EXPLAIN_LATCH;

	ret->code = latch_reason_name((enum latch_reason)reason);
	switch ((enum latch_reason)reason) {
	case LATCH_REASON_SA_CONFLICT:
		on_conflict(record, ret);
		return;
	case LATCH_REASON_SPD_CHANGE:
		on_spd_change(record, ret);
		return;
	case LATCH_REASON_PEER_DEAD:
		CAUSE("its peer answers no IKE request (dead-peer detection)");
		NEXT("connect again when the peer is back; to keep such latches: on-dpd = keep in a "
		     "[rule] of latchd.conf");
		return;
	case LATCH_REASON_PEER_REBOOTED:
		CAUSE("its peer has rebooted (INITIAL_CONTACT): its end of the connection is gone");
		NEXT("connect again; to keep such latches: on-reboot = keep in a [rule] of "
		     "latchd.conf");
		return;
	case LATCH_REASON_ADMIN:
		on_admin(record, gone ? record->latch_id : e->latch.id, gone, ret);
		return;
	case LATCH_REASON_REFUSED:
		on_mark(e, gone, ret);
		return;
	}
}

/*
 * The reason that broke a deleted latch. None if the latch was not broken when it ended, unless a
 * request ended its socket.
 */
static uint8_t standing_reason(const struct history_record *record, uint8_t reasons)
{
	bool stands = record->reset || (!record->healed_ns && !record->ended_ns);

	return stands || reasons & record->reason ? record->reason : 0;
}

uint8_t explain_text_reasons(const struct history_record *record)
{
	return record->reasons | standing_reason(record, record->reasons);
}

/* The reason that broke the latch, or any of its reasons. */
static uint8_t reason_of(const struct explanation *e)
{
	bool live = e->found == EXPLAIN_LATCH;
	uint8_t reasons = live ? e->latch.word.reasons : explain_text_reasons(&e->record);
	uint8_t first = e->has_record ? e->record.reason : 0;

	return reasons & first ? first : reasons & (uint8_t)-reasons;
}

/* ---- a latch */

static void on_dropped(const struct explanation *e, struct explain_texts *ret)
{
	char owner[NAME_SIZE];

	if (e->found == EXPLAIN_LATCH && e->latch.drops &&
	    (!e->has_record || !e->record.packet.time_ns))
		CAUSE("; %" PRIu64
		      " packets were dropped: they waited for the owner of their SA, or "
		      "the event is not known",
		      (uint64_t)e->latch.drops);
	if (!e->has_record || !e->record.packet.time_ns)
		return;
	if (e->record.packet.audited)
		CAUSE("; enforcement would have dropped packets, the last reported one as %s",
		      latch_drop_name(e->record.packet.drop));
	else
		CAUSE("; dropped %" PRIu64 " packets, the last reported one as %s",
		      e->found == EXPLAIN_LATCH ? (uint64_t)e->latch.drops : e->record.drops,
		      latch_drop_name(e->record.packet.drop));
	if (e->record.packet.owner.known)
		CAUSE(" (its SA is of %s)", name_of(owner, &e->record.packet.owner));
}

static void on_healed(const struct explanation *e, struct explain_texts *ret)
{
	const struct history_former *former = &e->record.former;
	char got[NAME_SIZE];

	if (!e->has_record || !former->reason)
		return;
	CAUSE("; it was broken before (%s", latch_reason_name((enum latch_reason)former->reason));
	if (former->got.known)
		CAUSE(", an SA of %s", name_of(got, &former->got));
	CAUSE("), and has healed");
}

static void on_live(const struct report_source *source, const struct explanation *e,
		    struct explain_texts *ret)
{
	const struct latch *latch = &e->latch;
	char peer[NAME_SIZE];

	ret->code = latch_state_name(latch->word.state);
	switch (latch->word.state) {
	case LATCH_STATE_BROKEN:
		on_reason(e, reason_of(e), ret);
		if (e->audited)
			CAUSE("; in audit mode its packets pass: enforcement would have broken it, "
			      "and does when it begins");
		return;
	case LATCH_STATE_ESTABLISHED:
		CAUSE("packets pass under SAs of %s with the latched parameters, and under no other",
		      name_of_params(peer, source, latch->word.params));
		on_healed(e, ret);
		on_dropped(e, ret);
		return;
	case LATCH_STATE_LARVAL:
		CAUSE("it began under an SA without a proven owner; the first SA of a known peer "
		      "latches it");
		on_dropped(e, ret);
		NEXT("latchctl sa shows why an SA has no peer");
		return;
	case LATCH_STATE_LISTENER:
		CAUSE("sockets listen there; each connection that they accept has a latch of its "
		      "own, and %" PRIu64 " were refused",
		      (uint64_t)latch->refused);
		NEXT("latchctl list sport %u", e->flow.local_port);
		return;
	case LATCH_STATE_NONE:
	case LATCH_STATE_CLOSED:
		break;
	}
	CAUSE("its socket is blocked: the latch is closed, and the connection may not continue "
	      "without it");
	NEXT("close the socket and connect again");
}

static void on_ended(const struct explanation *e, struct explain_texts *ret)
{
	uint8_t reason = reason_of(e);

	if (reason) {
		on_reason(e, reason, ret);
		if (e->record.reset && e->record.reset_error)
			CAUSE("; its socket was not ended: %s", strerror(-e->record.reset_error));
		else if (e->record.reset)
			CAUSE("; its socket was ended");
		return;
	}
	ret->code = e->record.ended_ns ? "ended" : "end-unseen";
	if (e->record.ended_ns)
		CAUSE("its connection ended; the latch was not broken then");
	else if (e->gaps.lost)
		CAUSE("the latch is gone, and its end was not seen: kernel events were lost");
	else
		CAUSE("the latch is gone, and its end is not yet reported");
	on_healed(e, ret);
	on_dropped(e, ret);
}

/* ---- a flow that got no latch */

static void on_contested(const struct history_record *record, struct explain_texts *ret)
{
	char want[NAME_SIZE], got[NAME_SIZE];

	if (record->has_rival)
		CAUSE("the kernel could use an SA of %s or one of %s (0x%08x): both cover %s === %s",
		      name_of(want, &record->want), name_of(got, &record->got),
		      record->rival.rival_spi, record->rival.local, record->rival.remote);
	else
		CAUSE("the kernel could use SAs with different parameters for it");
	NEXT("%s", NEXT_CONTESTED);
}

static void on_wish(const struct history_record *record, struct explain_texts *ret)
{
	char owner[NAME_SIZE];
	const struct history_packet *packet = &record->packet;

	CAUSE("its application requires a latch by setsockopt(), and ");
	if (!packet->sa.spi) {
		CAUSE("its packet had no IPsec");
		NEXT("%s", NEXT_PROTECT);
		return;
	}
	CAUSE("the SA of its packet (0x%08x, of %s) does not fulfil that: %s", packet->sa.spi,
	      name_of(owner, &packet->owner), latch_why_name((enum latch_why)packet->wish));
	if (packet->wish == LATCH_WHY_REQUIRED)
		NEXT("%s", NEXT_UNATTRIBUTED);
	else
		NEXT("%s", NEXT_WISH);
}

static void on_required(const struct history_record *record, struct explain_texts *ret)
{
	char owner[NAME_SIZE];
	const struct history_packet *packet = &record->packet;

	CAUSE("rule \"%s\" requires a latch, and ", record->rule[0] ? record->rule : "?");
	if (!packet->sa.spi) {
		CAUSE("its packet had no IPsec");
		NEXT(NEXT_PROTECT "; or put a [rule] with action = auto before it");
		return;
	}
	if (!packet->sa_known)
		CAUSE("the SA of its packet (0x%08x) was not in the table", packet->sa.spi);
	else
		CAUSE("the SA of its packet (0x%08x, %s, of %s) may start none", packet->sa.spi,
		      latch_sa_state_name(packet->sa_state), name_of(owner, &packet->owner));
	NEXT("%s", NEXT_UNATTRIBUTED);
}

static void on_terms(const struct history_record *record, struct explain_texts *ret)
{
	char owner[NAME_SIZE];
	const struct history_packet *packet = &record->packet;
	const char *rule = record->rule[0] ? record->rule : "?";

	name_of(owner, &packet->owner);
	if (packet->drop == LATCH_DROP_IDENTITY) {
		CAUSE("rule \"%s\" admits other peers only, and the SA of its packet (0x%08x) is of "
		      "%s",
		      rule, packet->sa.spi, owner);
		NEXT("%s", NEXT_PEER);
		return;
	}
	CAUSE("rule \"%s\" requires stronger encryption than its packet's SA has (0x%08x, of %s)",
	      rule, packet->sa.spi, owner);
	NEXT("%s", NEXT_ENCRYPTION);
}

static void on_drop_reason(const struct history_record *record, struct explain_texts *ret)
{
	ret->code = latch_drop_name(record->packet.drop);
	if (history_packet_lacks_wish(&record->packet)) {
		on_wish(record, ret);
		return;
	}
	switch (record->packet.drop) {
	case LATCH_DROP_CONFLICT:
		on_contested(record, ret);
		return;
	case LATCH_DROP_REQUIRED:
		on_required(record, ret);
		return;
	case LATCH_DROP_LATCHES_FULL:
		CAUSE("the table of latches is full");
		NEXT("set a larger latches = in [enforce] of latchd.conf; see Sizing in "
		     "docs/operations.md");
		return;
	case LATCH_DROP_MERGED:
		CAUSE("its packet was merged with one of another SA");
		return;
	case LATCH_DROP_MALFORMED:
		CAUSE("the headers of its packet cannot be parsed");
		return;
	case LATCH_DROP_OTHER_MODE:
		CAUSE("the mode of its SA is none that latchd knows");
		NEXT("configure transport, tunnel or BEET mode for its CHILD_SA");
		return;
	case LATCH_DROP_IDENTITY:
	case LATCH_DROP_QOP:
		on_terms(record, ret);
		return;
	case LATCH_DROP_PLAINTEXT:
	case LATCH_DROP_SA_PENDING:
	case LATCH_DROP_SA_UNKNOWN:
	case LATCH_DROP_AMBIGUOUS:
	case LATCH_DROP_NESTED:
	case LATCH_DROP_BROKEN:
	case LATCH_DROP_CLOSED:
	case LATCH_DROP_CONTESTED:
	case LATCH_DROP_COUNT:
		break;
	}
	CAUSE("its packet was dropped (%s)", ret->code);
}

static void on_refused(const struct history_record *record, struct explain_texts *ret)
{
	if (record->elsewhere) {
		ret->code = "sas-elsewhere";
		CAUSE("it is not latched: its interface is a VTI, or has its SAs in another network "
		      "namespace");
		NEXT("to latch it make an xfrm interface in its own network namespace");
		return;
	}
	on_drop_reason(record, ret);
	if (record->packet.audited)
		CAUSE("; it passed in audit mode: enforcement would have refused it");
	else if (record->reset && !record->reset_error)
		CAUSE("; connect() ended with ECONNABORTED");
	else
		CAUSE("; %" PRIu64 " such events, packets dropped", record->count);
}

static void on_socket(const struct report_source *source, const struct explanation *e,
		      struct explain_texts *ret)
{
	if (e->now == EXPLAIN_NOW_OFF) {
		ret->code = "rule-off";
		CAUSE("rule \"%s\" latches no such connection", rule_name(source, e->rule));
		NEXT("%s", NEXT_RULE);
	} else if (e->now == EXPLAIN_NOW_CLEAR || e->now == EXPLAIN_NOW_REQUIRED) {
		ret->code = "no-ipsec";
		CAUSE("a socket has this flow, and no IPsec policy protects it: it is in clear");
		NEXT(NEXT_PROTECT ", and connect again");
	} else {
		ret->code = "older";
		CAUSE("a socket has this flow, and its connection was never latched: it is older "
		      "than latchd, than the policies or than its rule, or its socket is outside "
		      "of the cgroups of [enforce]");
		NEXT("connect again; latchctl --json status shows the cgroups");
	}
}

static void on_none(const struct explanation *e, struct explain_texts *ret)
{
	ret->code = "none";
	if (e->socket == EXPLAIN_SOCKET_NONE)
		CAUSE("no latch, no socket and no record has this flow");
	else
		CAUSE("no latch and no record has this flow; whether a socket has it is not known");
	if (e->gaps.lost)
		CAUSE(" (%" PRIu64 " kernel events were lost)", e->gaps.lost);
}

void explain_text_cause(const struct report_source *source, const struct explanation *e,
			struct explain_texts *ret)
{
	*ret = (struct explain_texts){0};
	switch (e->found) {
	case EXPLAIN_LATCH:
		on_live(source, e, ret);
		return;
	case EXPLAIN_ENDED:
		on_ended(e, ret);
		return;
	case EXPLAIN_REFUSED:
		on_refused(&e->record, ret);
		return;
	case EXPLAIN_SOCKET:
		on_socket(source, e, ret);
		return;
	case EXPLAIN_NONE:
		on_none(e, ret);
		return;
	}
}
