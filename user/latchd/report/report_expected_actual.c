/* SPDX-License-Identifier: BSD-2-Clause */
/* "expected" and "actual" of a broken latch: both identities, and the other members that differ. */
#include "latchd/report/report_event_parts.h"

#include <string.h>

#include "common/names.h"

/* The latch's params ("expected") or those of the conflicting SA ("actual"); all NULL: not known.
 */
struct side {
	const struct latch_params *params;
	const struct latch_identity *peer;
	const struct latch_identity *local;
};

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

void report_expected_actual(struct json_writer *w, const struct report_source *source,
			    uint16_t want, uint16_t got)
{
	const struct side wanted = side_of(source, want), found = side_of(source, got);

	write_side(w, "expected", &wanted, &found);
	write_side(w, "actual", &found, &wanted);
}
