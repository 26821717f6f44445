/* SPDX-License-Identifier: BSD-2-Clause */
/* Audit mode: the mode in force, and the flows that enforcement would have dropped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"
#include "latch_mode.h"
#include "latchd/maps/tables.h"
#include "latchd/report/report_parts.h"

static void write_mode(struct json_writer *w, const struct latch_settings *settings)
{
	json_member_string(w, "mode", latch_mode_is_audit(settings->mode) ? "audit" : "enforce");
	report_time(w, "mode_since", settings->mode_since);
}

void report_mode_members(struct json_writer *w, const struct report_source *source)
{
	struct latch_settings settings = {0};

	report_fail(w, settings_read(source->maps, &settings));
	write_mode(w, &settings);
}

static void write_error(struct json_writer *w, int error)
{
	char text[128];

	snprintf(text, sizeof(text), "cannot switch the mode: %s; see latchd's log",
		 strerror(-error));
	json_member_string(w, "error", text);
	json_member_string(w, "code", "failed");
}

void report_mode(struct json_writer *w, const struct report_source *source, bool changed, int error)
{
	bool audit = latch_mode_is_audit(mode_read(source->maps));

	json_object_begin(w);
	if (error) {
		write_error(w, error);
	} else {
		json_member_uint(w, "schema", REPORT_SCHEMA);
		report_mode_members(w, source);
		json_member_bool(w, "changed", changed);
		/* A reboot removes the pins. Then the configuration decides. */
		json_member_bool(w, "until_reboot", !audit && source->wants_audit);
		json_member_bool(w, "until_reload", audit && source->wants_enforce);
	}
	json_object_end(w);
}

/* ---- the table */

struct audit_walk {
	struct json_writer *w;
	const struct report_source *source;
};

static void write_example(struct json_writer *w, const struct latch_audit *row)
{
	json_key(w, "example");
	json_object_begin(w);
	report_direction(w, row->direction);
	report_flow(w, &row->flow);
	json_object_end(w);
}

static int write_row(void *context, const struct latch_audit_key *key,
		     const struct latch_audit *row)
{
	const struct audit_walk *walk = context;
	struct json_writer *w = walk->w;

	json_object_begin(w);
	report_rule(w, walk->source, key->rule, key->rule_set);
	report_peer(w, walk->source, key->params);
	json_member_string(w, "reason", latch_drop_name((enum latch_drop)key->drop));
	report_reasons(w, key->reasons);
	report_peer_as(w, walk->source, "sa_peer", row->got);
	json_member_bool(w, "others", key->others);
	json_member_uint(w, "flows", row->flows);
	json_member_uint(w, "packets", row->packets);
	report_time(w, "first", row->first);
	report_time(w, "last", row->last);
	write_example(w, row);
	json_object_end(w);
	return w->error;
}

static void begin(struct json_writer *w, const struct report_source *source)
{
	struct latch_clock clock = {0};

	report_fail(w, clock_read(source->maps, &clock));
	json_object_begin(w);
	json_member_uint(w, "schema", REPORT_SCHEMA);
	report_mode_members(w, source);
	json_member_uint(w, "unmarked", clock.audit_unmarked);
	json_key(w, "rows");
	json_array_begin(w);
}

bool report_audit(struct json_writer *w, const struct report_source *source,
		  struct map_cursor *cursor)
{
	struct audit_walk walk = {.w = w, .source = source};

	if (!cursor->begun)
		begin(w, source);
	report_fail(w, audits_walk_part(source->maps, cursor, write_row, &walk));
	if (!cursor->ended)
		return w->error;
	json_array_end(w);
	json_object_end(w);
	return true;
}
