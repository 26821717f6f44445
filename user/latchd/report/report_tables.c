/* SPDX-License-Identifier: BSD-2-Clause */
/* The documents list and sa, row by row. */
#include "latch_mode.h"
#include "latchd/maps/tables.h"
#include "common/names.h"
#include "latchd/report/report_answer.h"
#include "latchd/report/report_parts.h"

struct table_walk {
	struct json_writer *w;
	const struct report_source *source;
	struct latch_settings settings;
};

static void rows_begin(struct json_writer *w, const char *rows)
{
	json_key(w, rows);
	json_array_begin(w);
}

static void begin(struct json_writer *w, const char *rows)
{
	json_object_begin(w);
	json_member_uint(w, "schema", REPORT_SCHEMA);
	rows_begin(w, rows);
}

/* True: the document is whole, or failed. */
static bool end_part(struct json_writer *w, const struct map_cursor *cursor, int err)
{
	report_fail(w, err);
	if (!cursor->ended)
		return w->error;
	json_array_end(w);
	json_object_end(w);
	return true;
}

/* ---- list */

static void latch_params(struct json_writer *w, const struct report_source *source, uint16_t index)
{
	const struct latch_params *params = identities_get_params(source->identities, index);

	json_key(w, "params");
	if (!params) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	json_member_string(w, "ipsec", ipsec_protocol_name(params->protocol));
	json_member_string(w, "mode", xfrm_mode_name(params->mode));
	report_qop(w, &params->qop);
	json_object_end(w);
}

static void latch_spis(struct json_writer *w, const struct latch *latch)
{
	json_key(w, "sa");
	json_object_begin(w);
	report_spi(w, "out", latch->spi_out);
	report_spi(w, "in", latch->spi_in);
	json_object_end(w);
}

static void latch_listener(struct json_writer *w, const struct latch *latch)
{
	bool listens = latch->word.state == LATCH_STATE_LISTENER;

	report_listener(w, latch->listener);
	json_key(w, "listens");
	if (!listens) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	json_member_uint(w, "sockets", latch->word.params);
	json_member_uint(w, "spawned", latch->spawned);
	json_member_uint(w, "refused", latch->refused);
	json_object_end(w);
}

/* BROKEN, and its packets pass until enforcement begins. */
static bool is_audited(const struct table_walk *walk, const struct latch *latch)
{
	return latch->word.state == LATCH_STATE_BROKEN &&
	       latch_mode_passes_latch(walk->settings.mode, latch);
}

static int write_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct table_walk *walk = context;
	struct json_writer *w = walk->w;
	/* A LISTENER carries no data and has no peer: its params are its number of sockets. */
	uint16_t params = latch->word.state == LATCH_STATE_LISTENER ? 0 : latch->word.params;

	json_object_begin(w);
	report_latch_id(w, latch->id);
	json_member_string(w, "state", latch_state_name(latch->word.state));
	report_direction(w, latch->direction);
	report_flow(w, flow);
	report_netns_name(w, walk->source, flow->netns);
	report_peer(w, walk->source, params);
	report_local_id(w, walk->source, params);
	report_connection(w, walk->source, params);
	report_tags(w, walk->source, params);
	latch_params(w, walk->source, params);
	latch_spis(w, latch);
	report_reasons(w, latch->word.reasons);
	json_member_bool(w, "audited", is_audited(walk, latch));
	report_rule(w, walk->source, latch->rule, latch->rule_set);
	json_member_string(w, "disposition", latch_disposition_name(latch->disposition));
	report_time(w, "created", latch->created);
	report_time(w, "since", latch->changed);
	json_member_uint(w, "drops", latch->drops);
	latch_listener(w, latch);
	report_answer(w, walk->source, &walk->settings, flow, latch);
	json_object_end(w);
	return w->error;
}

static void list_begin(struct json_writer *w, const struct report_source *source)
{
	json_object_begin(w);
	json_member_uint(w, "schema", REPORT_SCHEMA);
	report_sets(w, source);
	rows_begin(w, "latches");
}

bool report_list(struct json_writer *w, const struct report_source *source,
		 struct map_cursor *cursor)
{
	struct table_walk walk = {.w = w, .source = source};

	report_fail(w, settings_read(source->maps, &walk.settings));
	if (!cursor->begun)
		list_begin(w, source);
	return end_part(w, cursor, latches_walk_part(source->maps, cursor, write_latch, &walk));
}

/* ---- sa */

static const char *refusal_of(const struct report_source *source, const struct latch_sa_key *key,
			      const struct latch_sa *sa)
{
	const char *reason = NULL;

	if (source->refusal && sa->word.state == LATCH_SA_PENDING)
		reason = source->refusal(source->refusal_context, key);
	return reason ? reason : "";
}

/* "contested_by": null if no other SA is known. */
static void write_rival(struct json_writer *w, const struct report_source *source,
			const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct news_rival rival;

	json_key(w, "contested_by");
	if (!(sa->word.flags & LATCH_SA_CONTESTED) || !source->rival ||
	    !source->rival(source->refusal_context, key, &rival)) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	report_spi(w, "spi", rival.rival_spi);
	report_peer(w, source, rival.rival_params);
	json_member_string(w, "local", rival.local);
	json_member_string(w, "remote", rival.remote);
	json_object_end(w);
}

static int write_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct table_walk *walk = context;
	struct json_writer *w = walk->w;

	if (sa->word.flags & LATCH_SA_GONE)
		return 0;
	json_object_begin(w);
	report_spi(w, "spi", key->spi);
	report_address(w, "src", key->family, sa->saddr);
	report_address(w, "dst", key->family, key->daddr);
	json_member_string(w, "proto", ipsec_protocol_name(key->protocol));
	json_member_uint(w, "netns", key->netns);
	report_netns_name(w, walk->source, key->netns);
	json_member_string(w, "state", latch_sa_state_name(sa->word.state));
	report_peer(w, walk->source, sa->word.params);
	report_text(w, "refused", refusal_of(walk->source, key, sa));
	json_member_uint(w, "reqid", sa->reqid);
	json_member_string(w, "mode", xfrm_mode_name(sa->mode));
	report_qop(w, &sa->qop);
	json_member_bool(w, "encap", sa->encap);
	json_member_bool(w, "contested", sa->word.flags & LATCH_SA_CONTESTED);
	write_rival(w, walk->source, key, sa);
	json_member_bool(w, "ambiguous", sa->word.flags & LATCH_SA_AMBIGUOUS);
	json_member_bool(w, "unproven", sa_is_unproven(sa->word));
	report_time(w, "since", sa->installed);
	json_object_end(w);
	return w->error;
}

bool report_sa(struct json_writer *w, const struct report_source *source, struct map_cursor *cursor)
{
	struct table_walk walk = {.w = w, .source = source};

	if (!cursor->begun)
		begin(w, "sas");
	return end_part(w, cursor, sas_walk_part(source->maps, cursor, write_sa, &walk));
}
