/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/names.h"
#include "latchd/report/report_parts.h"

/* What one side of a broken latch stands for; all NULL when it is not known. */
struct side {
	const struct latch_params *params;
	const struct latch_identity *peer;
	const struct latch_identity *local;
};

static void begin_at(struct json_writer *w, const char *event, uint64_t real_ns)
{
	char time[CLOCK_TEXT_SIZE];

	clock_format(time, real_ns);
	json_object_begin(w);
	json_member_string(w, "time", time);
	json_member_string(w, "event", event);
}

static void begin_now(struct json_writer *w, const char *event)
{
	begin_at(w, event, clock_real_ns());
}

static void write_latch(struct json_writer *w, const struct latch_flow *flow, uint64_t id)
{
	report_latch_id(w, id);
	report_flow(w, flow);
}

/* ---- of the ring */

static void ring_latch(struct json_writer *w, const struct report_source *source,
		       const struct latch_event *event)
{
	write_latch(w, &event->flow, event->latch_id);
	report_direction(w, event->direction);
	report_peer(w, source, event->word.params);
	report_local_id(w, source, event->word.params);
	report_reasons(w, event->word.reasons);
	report_listener(w, event->listener);
}

static void write_sa_key(struct json_writer *w, const struct latch_sa_key *key)
{
	report_spi(w, "spi", key->spi);
	report_address(w, "dst", key->family, key->daddr);
	json_member_string(w, "proto", ipsec_protocol_name(key->protocol));
	json_member_uint(w, "netns", key->netns);
}

static void ring_sa(struct json_writer *w, const struct report_source *source,
		    const struct latch_event *event)
{
	write_sa_key(w, &event->sa);
	json_member_string(w, "state", latch_sa_state_name(event->sa_word.state));
	report_peer(w, source, event->sa_word.params);
}

static void write_event_sa(struct json_writer *w, const struct latch_sa_key *key)
{
	json_key(w, "sa");
	if (!key->spi) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	write_sa_key(w, key);
	json_object_end(w);
}

static void report_packet(struct json_writer *w, enum latch_direction packet)
{
	json_member_string(w, "packet", packet == LATCH_DIRECTION_OUT ? "egress" : "ingress");
}

static void ring_drop(struct json_writer *w, const struct report_source *source,
		      const struct latch_event *event)
{
	json_member_string(w, "reason", latch_drop_name(event->drop));
	report_packet(w, event->packet);
	write_latch(w, &event->flow, event->latch_id);
	report_direction(w, event->direction);
	report_peer(w, source, event->word.params);
	json_member_uint(w, "drops", event->drops);
	write_event_sa(w, &event->sa);
}

static void ring_refused(struct json_writer *w, const struct report_source *source,
			 const struct latch_event *event)
{
	json_member_string(w, "reason", latch_drop_name(event->drop));
	report_packet(w, event->packet);
	report_flow(w, &event->flow);
	report_direction(w, event->direction);
	report_rule(w, source, event->rule, source->rule_set);
	write_event_sa(w, &event->sa);
}

void report_ring_event(struct json_writer *w, const struct report_source *source,
		       const struct latch_event *event)
{
	begin_at(w, latch_event_name(event->type), clock_boot_to_real_ns(event->time));
	switch (event->type) {
	case LATCH_EVENT_LATCH_ESTABLISHED:
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_LATCH_CLOSED:
		ring_latch(w, source, event);
		break;
	case LATCH_EVENT_SA_PENDING:
	case LATCH_EVENT_SA_GONE:
		ring_sa(w, source, event);
		break;
	case LATCH_EVENT_DROP:
		ring_drop(w, source, event);
		break;
	case LATCH_EVENT_REFUSED:
		ring_refused(w, source, event);
		break;
	case LATCH_EVENT_POLICY_CHANGED:
		json_member_uint(w, "netns", event->flow.netns);
		break;
	}
	json_object_end(w);
}

/* ---- want and got */

static struct side side_of(const struct report_source *source, uint16_t params)
{
	struct side side = {.params = identities_get_params(source->identities, params)};

	if (side.params) {
		side.peer = identities_get(source->identities, side.params->peer_id);
		side.local = identities_get(source->identities, side.params->local_id);
	}
	return side.peer && side.local ? side : (struct side){0};
}

static void text_if_other(struct json_writer *w, const char *key, const char *text,
			  const char *other)
{
	if (strcmp(text, other))
		report_text(w, key, text);
}

static void number_if_other(struct json_writer *w, const char *key, unsigned int value,
			    unsigned int other)
{
	if (value != other)
		json_member_uint(w, key, value);
}

static void bool_if_other(struct json_writer *w, const char *key, bool value, bool other)
{
	if (value != other)
		json_member_bool(w, key, value);
}

static void qop_if_other(struct json_writer *w, const struct latch_qop *qop,
			 const struct latch_qop *other)
{
	text_if_other(w, "encr", qop->encryption, other->encryption);
	number_if_other(w, "encr_bits", qop->encryption_bits, other->encryption_bits);
	text_if_other(w, "integ", qop->integrity, other->integrity);
	number_if_other(w, "integ_bits", qop->integrity_bits, other->integrity_bits);
	number_if_other(w, "icv_bits", qop->icv_bits, other->icv_bits);
	bool_if_other(w, "esn", qop->esn, other->esn);
	bool_if_other(w, "replay_protection", qop->replay_protection, other->replay_protection);
}

static void side_if_other(struct json_writer *w, const struct side *side, const struct side *other)
{
	text_if_other(w, "feed", side->peer->authority, other->peer->authority);
	text_if_other(w, "config", side->peer->config, other->peer->config);
	text_if_other(w, "local_id", side->local->id, other->local->id);
	text_if_other(w, "ipsec", ipsec_protocol_name(side->params->protocol),
		      ipsec_protocol_name(other->params->protocol));
	text_if_other(w, "mode", xfrm_mode_name(side->params->mode),
		      xfrm_mode_name(other->params->mode));
	qop_if_other(w, &side->params->qop, &other->params->qop);
}

static void write_side(struct json_writer *w, const char *key, const struct side *side,
		       const struct side *other)
{
	json_key(w, key);
	if (!side->peer) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	json_member_string(w, "id", side->peer->id);
	json_member_string(w, "auth", feed_auth_name((enum feed_auth)side->peer->auth));
	if (other->peer)
		side_if_other(w, side, other);
	json_object_end(w);
}

static const char *first_reason(uint8_t reasons)
{
	return reasons ? latch_reason_name((enum latch_reason)(reasons & -reasons)) : NULL;
}

void report_latch_broken(struct json_writer *w, const struct report_source *source,
			 const struct latch_flow *flow, uint64_t id, enum latch_direction direction,
			 uint8_t reasons, uint16_t want, uint16_t got)
{
	const struct side wanted = side_of(source, want), found = side_of(source, got);

	begin_now(w, latch_event_name(LATCH_EVENT_LATCH_BROKEN));
	write_latch(w, flow, id);
	report_direction(w, direction);
	json_member_string(w, "reason", first_reason(reasons));
	report_reasons(w, reasons);
	write_side(w, "want", &wanted, &found);
	write_side(w, "got", &found, &wanted);
	json_object_end(w);
}

static void write_prefix(struct json_writer *w, const char *key, uint8_t family,
			 const uint8_t address[16], uint8_t bits)
{
	char text[INET6_ADDRSTRLEN + 4] = "";
	size_t length;

	if (!inet_ntop(family, address, text, INET6_ADDRSTRLEN)) {
		json_member_string(w, key, NULL);
		return;
	}
	length = strlen(text);
	snprintf(text + length, sizeof(text) - length, "/%u", bits);
	json_member_string(w, key, text);
}

static void write_policy(struct json_writer *w, enum policy_direction direction,
			 const struct policy_verdict *verdict)
{
	const struct policy *policy = verdict->policy;

	json_key(w, "policy");
	json_object_begin(w);
	json_member_string(w, "direction", policy_direction_name(direction));
	json_member_string(w, "action", policy_action_name(verdict->action));
	json_member_bool(w, "default", verdict->absent);
	if (policy) {
		json_member_uint(w, "priority", policy->priority);
		write_prefix(w, "src", policy->family, policy->source, policy->source_bits);
		write_prefix(w, "dst", policy->family, policy->destination,
			     policy->destination_bits);
	}
	json_object_end(w);
}

void report_spd_broken(struct json_writer *w, const struct report_source *source,
		       const struct latch_flow *flow, const struct latch *latch,
		       enum policy_direction direction, const struct policy_verdict *verdict)
{
	const struct side wanted = side_of(source, latch->word.params), none = {0};

	begin_now(w, latch_event_name(LATCH_EVENT_LATCH_BROKEN));
	write_latch(w, flow, latch->id);
	report_direction(w, latch->direction);
	json_member_string(w, "reason", first_reason(LATCH_REASON_SPD_CHANGE));
	report_reasons(w, LATCH_REASON_SPD_CHANGE);
	write_side(w, "want", &wanted, &none);
	write_side(w, "got", &none, &wanted);
	write_policy(w, direction, verdict);
	json_object_end(w);
}

void report_latch_held(struct json_writer *w, const struct latch_flow *flow,
		       const struct latch *latch, enum policy_direction direction,
		       const struct policy_verdict *verdict)
{
	begin_now(w, "latch-held");
	write_latch(w, flow, latch->id);
	report_direction(w, latch->direction);
	write_policy(w, direction, verdict);
	json_object_end(w);
}

void report_latch_released(struct json_writer *w, const struct latch_flow *flow,
			   const struct latch *latch)
{
	begin_now(w, "latch-released");
	write_latch(w, flow, latch->id);
	report_direction(w, latch->direction);
	json_object_end(w);
}

/* ---- of the controller */

void report_latch_healed(struct json_writer *w, const struct report_source *source,
			 const struct latch_flow *flow, uint64_t id, enum latch_direction direction,
			 uint8_t reasons)
{
	(void)source;
	begin_now(w, latch_event_name(LATCH_EVENT_LATCH_HEALED));
	write_latch(w, flow, id);
	report_direction(w, direction);
	report_reasons(w, reasons);
	json_object_end(w);
}

static void write_who(struct json_writer *w, const struct admin_origin *who)
{
	json_key(w, "by");
	json_object_begin(w);
	json_member_uint(w, "pid", (uint64_t)who->pid);
	json_key(w, "login_uid");
	if (who->login_uid == ADMIN_NO_LOGIN)
		json_null(w);
	else
		json_uint(w, who->login_uid);
	json_object_end(w);
}

static void begin_request(struct json_writer *w, enum control_act act)
{
	switch (act) {
	case CONTROL_ACT_BREAK:
		begin_now(w, latch_event_name(LATCH_EVENT_LATCH_BROKEN));
		return;
	case CONTROL_ACT_HEAL:
		begin_now(w, latch_event_name(LATCH_EVENT_LATCH_HEALED));
		return;
	case CONTROL_ACT_CLOSE:
		begin_now(w, "latch-reset");
		return;
	}
}

void report_latch_requested(struct json_writer *w, enum control_act act,
			    const struct latch_flow *flow, const struct latch *latch,
			    const struct admin_origin *who, int error)
{
	begin_request(w, act);
	write_latch(w, flow, latch->id);
	report_direction(w, latch->direction);
	json_member_string(w, "reason", latch_reason_name(LATCH_REASON_ADMIN));
	report_reasons(w, LATCH_REASON_ADMIN);
	if (act == CONTROL_ACT_CLOSE)
		json_member_string(w, "error", error ? strerror(-error) : NULL);
	write_who(w, who);
	json_object_end(w);
}

void report_latch_reset(struct json_writer *w, const struct report_source *source,
			const struct latch_flow *flow, uint64_t id, int error)
{
	(void)source;
	begin_now(w, "latch-reset");
	write_latch(w, flow, id);
	json_member_string(w, "error", error ? strerror(-error) : NULL);
	json_object_end(w);
}

void report_sa_bound(struct json_writer *w, const struct report_source *source,
		     const struct latch_sa_key *key, const struct latch_sa *sa, uint16_t params,
		     const char *feed, const char *evidence)
{
	begin_now(w, "sa-bound");
	write_sa_key(w, key);
	report_address(w, "src", key->family, sa->saddr);
	json_member_uint(w, "reqid", sa->reqid);
	json_member_string(w, "mode", xfrm_mode_name(sa->mode));
	report_peer(w, source, params);
	report_local_id(w, source, params);
	json_member_string(w, "feed", feed);
	json_member_string(w, "evidence", evidence);
	json_object_end(w);
}

void report_lost(struct json_writer *w, uint64_t count, const char *where)
{
	begin_now(w, "lost");
	json_member_uint(w, "count", count);
	json_member_string(w, "where", where);
	json_object_end(w);
}
