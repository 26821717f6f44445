/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/tables.h"
#include "latchd/report/report_explain.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/names.h"
#include "latchd/report/explain_text.h"
#include "latchd/report/report_event_parts.h"
#include "latchd/report/report_parts.h"
#include "latchd/report/rule_text.h"

/* ---- "peer" and "local_id", as of the time of the record */

static void write_side_peer(struct json_writer *w, const struct history_side *side)
{
	json_key(w, "peer");
	if (!side->known) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	json_member_string(w, "id", side->peer.id);
	json_member_string(w, "auth", feed_auth_name((enum feed_auth)side->peer.auth));
	json_object_end(w);
}

/* ---- "flow" */

static void write_flow(struct json_writer *w, const struct report_source *source,
		       const struct explanation *e)
{
	json_key(w, "flow");
	json_object_begin(w);
	report_flow(w, &e->flow);
	report_netns_name(w, source, e->flow.netns);
	report_direction(w, e->direction);
	json_member_bool(w, "any_local_port", e->example_port);
	json_member_uint(w, "latches", e->latches);
	json_object_end(w);
}

/* ---- "rule" */

static const char *set_of(const struct report_source *source, const struct latch_rule *rule)
{
	return rule->peer_set ? identities_set_name(source->identities, rule->peer_set - 1U) : NULL;
}

static void write_rule(struct json_writer *w, const struct report_source *source,
		       const struct explanation *e)
{
	char text[RULE_TEXT_SIZE];
	const char *at_start = NULL;
	bool known = e->rule < source->rule_count;

	rule_text(text, known ? &source->rules[e->rule].rule : NULL,
		  known ? set_of(source, &source->rules[e->rule].rule) : NULL);
	if (e->found == EXPLAIN_LATCH && e->latch.rule_set == source->rule_set &&
	    e->latch.rule < source->rule_count)
		at_start = source->rules[e->latch.rule].name;
	else if (e->has_record && e->record.rule[0])
		at_start = e->record.rule;
	json_key(w, "rule");
	json_object_begin(w);
	json_member_string(w, "name", known ? source->rules[e->rule].name : NULL);
	json_member_string(w, "text", text);
	json_member_string(w, "at_start", at_start);
	json_object_end(w);
}

/* ---- "latch" */

/* A break that has healed. */
static void write_healed(struct json_writer *w, const struct explanation *e)
{
	const struct history_former *former = &e->record.former;

	json_key(w, "healed");
	if (!e->has_record || !former->reason) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	json_member_string(w, "reason", latch_reason_name((enum latch_reason)former->reason));
	report_time(w, "broken", former->broken_ns);
	report_time(w, "healed", e->record.healed_ns);
	write_side_peer(w, &former->got);
	json_object_end(w);
}

static void write_live_latch(struct json_writer *w, const struct report_source *source,
			     const struct explanation *e)
{
	const struct latch *latch = &e->latch;
	uint16_t params = latch->word.state == LATCH_STATE_LISTENER ? 0 : latch->word.params;

	report_latch_id(w, latch->id);
	json_member_string(w, "state", latch_state_name(latch->word.state));
	report_reasons(w, latch->word.reasons);
	report_time(w, "created", latch->created);
	report_time(w, "since", latch->changed);
	report_time(w, "broken", e->has_record ? e->record.broken_ns : 0);
	json_member_string(w, "ended", NULL);
	report_peer(w, source, params);
	report_local_id(w, source, params);
	json_member_string(w, "disposition", latch_disposition_name(latch->disposition));
	json_member_bool(w, "audited", e->audited);
	json_member_uint(w, "drops", latch->drops);
}

static void write_former_latch(struct json_writer *w, const struct history_record *record)
{
	report_latch_id(w, record->latch_id);
	json_member_string(w, "state", "closed");
	report_reasons(w, explain_text_reasons(record));
	json_member_string(w, "created", NULL);
	json_member_string(w, "since", NULL);
	report_time(w, "broken", record->broken_ns);
	report_time(w, "ended", record->ended_ns);
	write_side_peer(w, &record->want);
	json_member_string(w, "local_id", record->want.known ? record->want.local.id : NULL);
	json_member_string(w, "disposition", NULL);
	json_member_bool(w, "audited", false);
	json_member_uint(w, "drops", record->drops);
}

static void write_latch(struct json_writer *w, const struct report_source *source,
			const struct explanation *e)
{
	json_key(w, "latch");
	if (e->found != EXPLAIN_LATCH && e->found != EXPLAIN_ENDED) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	if (e->found == EXPLAIN_LATCH)
		write_live_latch(w, source, e);
	else
		write_former_latch(w, &e->record);
	write_healed(w, e);
	json_object_end(w);
}

/* ---- "packet": the last one that is known to have been checked */

static void write_dropped(struct json_writer *w, const struct history_record *record)
{
	const struct history_packet *packet = &record->packet;

	json_member_string(w, "verdict",
			   packet->audited     ? "audited"
			   : record->elsewhere ? "passed"
					       : "dropped");
	report_time(w, "time", packet->time_ns);
	json_member_string(w, "packet",
			   packet->direction == LATCH_DIRECTION_OUT ? "egress" : "ingress");
	json_member_string(w, "reason",
			   record->elsewhere ? "sas-elsewhere" : latch_drop_name(packet->drop));
	json_key(w, "sa");
	if (!packet->sa.spi) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	report_event_sa_key(w, &packet->sa);
	json_member_string(w, "state",
			   packet->sa_known ? latch_sa_state_name(packet->sa_state) : NULL);
	write_side_peer(w, &packet->owner);
	json_object_end(w);
}

static void write_passed(struct json_writer *w, const struct latch *latch)
{
	json_member_string(w, "verdict", "passed");
	json_key(w, "sa");
	json_object_begin(w);
	report_spi(w, "out", latch->spi_out);
	report_spi(w, "in", latch->spi_in);
	json_object_end(w);
}

static void write_packet(struct json_writer *w, const struct explanation *e)
{
	bool dropped = e->has_record && e->record.packet.time_ns;
	bool passed = e->found == EXPLAIN_LATCH && (e->latch.spi_out || e->latch.spi_in);

	json_key(w, "packet");
	if (!dropped && !passed) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	if (dropped)
		write_dropped(w, &e->record);
	else
		write_passed(w, &e->latch);
	json_object_end(w);
}

/* ---- "mismatch": what was latched, and what came instead, where they differ */

static void write_texts(struct json_writer *w, const char *field, const char *want, const char *got)
{
	if (!strcmp(want, got))
		return;
	json_object_begin(w);
	json_member_string(w, "field", field);
	json_member_string(w, "expected", want);
	json_member_string(w, "actual", got);
	json_object_end(w);
}

static void write_numbers(struct json_writer *w, const char *field, unsigned int want,
			  unsigned int got)
{
	char wanted[16], found[16];

	snprintf(wanted, sizeof(wanted), "%u", want);
	snprintf(found, sizeof(found), "%u", got);
	write_texts(w, field, wanted, found);
}

static void write_flags(struct json_writer *w, const char *field, bool want, bool got)
{
	write_texts(w, field, want ? "yes" : "no", got ? "yes" : "no");
}

static void write_qop(struct json_writer *w, const struct latch_qop *want,
		      const struct latch_qop *got)
{
	write_texts(w, "encryption", want->encryption, got->encryption);
	write_numbers(w, "encryption_bits", want->encryption_bits, got->encryption_bits);
	write_texts(w, "integrity", want->integrity, got->integrity);
	write_numbers(w, "integrity_bits", want->integrity_bits, got->integrity_bits);
	write_numbers(w, "icv_bits", want->icv_bits, got->icv_bits);
	write_flags(w, "esn", want->esn, got->esn);
	write_flags(w, "replay_protection", want->replay_protection, got->replay_protection);
}

static void write_differences(struct json_writer *w, const struct history_side *want,
			      const struct history_side *got)
{
	write_texts(w, "peer", want->peer.id, got->peer.id);
	write_texts(w, "authentication", feed_auth_name((enum feed_auth)want->peer.auth),
		    feed_auth_name((enum feed_auth)got->peer.auth));
	write_texts(w, "feed", want->peer.authority, got->peer.authority);
	write_texts(w, "connection", want->peer.config, got->peer.config);
	write_texts(w, "local_id", want->local.id, got->local.id);
	write_texts(w, "ipsec", ipsec_protocol_name(want->params.protocol),
		    ipsec_protocol_name(got->params.protocol));
	write_texts(w, "mode", xfrm_mode_name(want->params.mode), xfrm_mode_name(got->params.mode));
	write_qop(w, &want->params.qop, &got->params.qop);
}

static void write_mismatch(struct json_writer *w, const struct explanation *e)
{
	const struct history_record *record = &e->record;
	const struct history_side *got = &record->got;

	if (!got->known && record->packet.time_ns > record->healed_ns)
		got = &record->packet.owner;
	json_key(w, "mismatch");
	json_array_begin(w);
	if (e->found != EXPLAIN_SOCKET && record->want.known && got->known)
		write_differences(w, &record->want, got);
	json_array_end(w);
}

/* ---- "now" */

static void write_policies(struct json_writer *w, const struct explanation *e)
{
	enum policy_direction direction;

	json_key(w, "policies");
	json_array_begin(w);
	for (direction = POLICY_OUT; !e->spd_error && direction < POLICY_DIRECTIONS; direction++) {
		const struct explain_policy *policy = &e->policy[direction];
		struct news_policy news = {
			.direction = policy_direction_name(direction),
			.action = policy_action_name(policy->action),
			.is_default = policy->absent,
			.family = policy->policy.family,
			.source_bits = policy->policy.source_bits,
			.destination_bits = policy->policy.destination_bits,
			.priority = policy->policy.priority,
		};

		memcpy(news.source, policy->policy.source, sizeof(news.source));
		memcpy(news.destination, policy->policy.destination, sizeof(news.destination));
		report_policy(w, &news);
	}
	json_array_end(w);
}

static void write_sa(struct json_writer *w, const struct report_source *source,
		     const struct explain_sa *sa)
{
	json_object_begin(w);
	report_event_sa_key(w, &sa->key);
	json_member_string(w, "direction", sa->out ? "out" : "in");
	json_member_string(w, "state", latch_sa_state_name(sa->sa.word.state));
	report_peer(w, source, sa->sa.word.params);
	report_local_id(w, source, sa->sa.word.params);
	json_member_string(w, "mode", xfrm_mode_name(sa->sa.mode));
	json_member_bool(w, "contested", sa->sa.word.flags & LATCH_SA_CONTESTED);
	json_member_bool(w, "ambiguous", sa->sa.word.flags & LATCH_SA_AMBIGUOUS);
	json_member_bool(w, "unproven", sa_is_unproven(sa->sa.word));
	report_time(w, "since", sa->sa.installed);
	json_object_end(w);
}

static void write_now(struct json_writer *w, const struct report_source *source,
		      const struct explanation *e)
{
	struct explain_texts texts;
	size_t i;

	json_key(w, "now");
	if (!e->flow.remote_port) {
		json_null(w);
		return;
	}
	explain_text_now(source, e, &texts);
	json_object_begin(w);
	json_member_string(w, "code", texts.code);
	json_member_string(w, "text", texts.cause);
	write_policies(w, e);
	json_key(w, "sas");
	json_array_begin(w);
	for (i = 0; i < e->sa_count && i < EXPLAIN_SAS_MAX; i++)
		write_sa(w, source, &e->sas[i]);
	json_array_end(w);
	json_member_uint(w, "sa_count", e->sa_count);
	json_member_uint(w, "unreported", e->unreported);
	json_object_end(w);
}

/* ---- the whole */

static void write_gaps(struct json_writer *w, const struct history_gaps *gaps)
{
	json_key(w, "history");
	json_object_begin(w);
	report_time(w, "since", gaps->since_ns);
	json_member_uint(w, "events_lost", gaps->lost);
	report_time(w, "lost", gaps->lost_ns);
	json_member_uint(w, "replaced", gaps->replaced);
	json_object_end(w);
}

static const char *found_name(enum explain_found found)
{
	switch (found) {
	case EXPLAIN_LATCH:
		return "latch";
	case EXPLAIN_ENDED:
		return "ended";
	case EXPLAIN_REFUSED:
		return "refused";
	case EXPLAIN_SOCKET:
		return "socket";
	case EXPLAIN_NONE:
		return "none";
	}
	return "unknown";
}

static void write_cause(struct json_writer *w, const struct report_source *source,
			const struct explanation *e)
{
	struct explain_texts texts, now;

	explain_text_cause(source, e, &texts);
	explain_text_now(source, e, &now);
	json_key(w, "cause");
	json_object_begin(w);
	json_member_string(w, "code", texts.code);
	json_member_string(w, "text", texts.cause);
	json_object_end(w);
	report_text(w, "next", e->found == EXPLAIN_NONE ? now.next : texts.next);
}

void report_explain(struct json_writer *w, const struct report_source *source,
		    const struct explanation *e)
{
	json_object_begin(w);
	json_member_uint(w, "schema", REPORT_SCHEMA);
	json_member_string(w, "found", found_name(e->found));
	write_flow(w, source, e);
	write_rule(w, source, e);
	write_latch(w, source, e);
	write_packet(w, e);
	write_mismatch(w, e);
	write_cause(w, source, e);
	write_now(w, source, e);
	write_gaps(w, &e->gaps);
	json_object_end(w);
}

void report_explain_unknown(struct json_writer *w, uint64_t id, const struct history_gaps *gaps)
{
	char since[CLOCK_TEXT_SIZE], text[320];

	clock_format(since, clock_boot_to_real_ns(gaps->since_ns));
	snprintf(text, sizeof(text),
		 "latch %" PRIx64 " does not exist and is not remembered (records since %s; "
		 "%" PRIu64 " replaced by others, %" PRIu64
		 " kernel events lost); see the log, or explain its flow",
		 id, since, gaps->replaced, gaps->lost);
	json_object_begin(w);
	json_member_string(w, "error", text);
	json_member_string(w, "code", "not-found");
	json_object_end(w);
}
