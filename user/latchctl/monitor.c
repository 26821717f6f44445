/* SPDX-License-Identifier: BSD-2-Clause */
/* latchctl monitor: the events as they come. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "latchctl/client.h"
#include "latchctl/style.h"
#include "latchctl/view.h"

#define OBJECT_WIDTH 8
#define VERB_WIDTH   12

/* Members with a fixed position in the line. */
static const char *const placed[] = {
	"time",	     "event",  "proto",	  "local",    "remote",
	"direction", "reason", "reasons", "expected", "actual",
};

static bool has_flow(struct json_object *event)
{
	return view_member(event, "local") || view_member(event, "remote");
}

/* proto is part of the flow; in an event without a flow it is a member like others. */
static bool is_placed(struct json_object *event, const char *key)
{
	size_t i;

	if (!strcmp(key, "proto") && !has_flow(event))
		return false;

	for (i = 0; i < sizeof(placed) / sizeof(placed[0]); i++)
		if (!strcmp(key, placed[i]))
			return true;
	return false;
}

static bool is_bare(const char *text)
{
	return text[0] && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789._:/+,-[]") == strlen(text);
}

/* Quotes every text with other than bare characters. A peer chooses its ID, and an ID such as
 * "c actual=d" must not look like further members. */
static void print_quoted(FILE *out, const char *text)
{
	char one[2] = "";

	if (is_bare(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	while (*text) {
		size_t plain = strcspn(text, "\"\\");
		auto_free char *part = strndup(text, plain);

		if (part)
			view_print(out, part);
		text += plain;
		if (*text) {
			one[0] = *text++;
			fprintf(out, "\\%s", one);
		}
	}
	fputc('"', out);
}

static void print_key(FILE *out, const char *prefix, const char *key)
{
	fputc(' ', out);
	if (prefix) {
		view_print(out, prefix);
		fputc('.', out);
	}
	view_print(out, key);
	fputc('=', out);
}

static void print_member(FILE *out, const char *prefix, const char *key, struct json_object *value)
{
	if (!value)
		return;
	print_key(out, prefix, key);
	print_quoted(out, json_object_get_string(value));
}

/* KEY=ID for {"id",...}, then its other members as KEY.MEMBER. */
static void print_object(FILE *out, const char *key, struct json_object *object)
{
	json_object_object_foreach(object, member, value)
	{
		if (!strcmp(member, "id"))
			print_member(out, NULL, key, value);
		else
			print_member(out, key, member, value);
	}
}

static void print_list(FILE *out, const char *key, struct json_object *object)
{
	char joined[512];

	view_joined(joined, sizeof(joined), object, key, "");
	if (joined[0]) {
		print_key(out, NULL, key);
		print_quoted(out, joined);
	}
}

static void print_value(FILE *out, const char *key, struct json_object *event,
			struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_object:
		print_object(out, key, value);
		break;
	case json_type_array:
		print_list(out, key, event);
		break;
	case json_type_null:
	case json_type_boolean:
	case json_type_double:
	case json_type_int:
	case json_type_string:
		print_member(out, NULL, key, value);
		break;
	}
}

static void print_named(FILE *out, struct json_object *event, const char *key, enum style style,
			bool colour)
{
	struct json_object *value = view_member(event, key);

	if (!value)
		return;
	fputs(style_begin(style, colour), out);
	print_value(out, key, event, value);
	fputs(style_end(style, colour), out);
}

static void print_flow(FILE *out, struct json_object *event)
{
	char local[VIEW_ENDPOINT_MAX], remote[VIEW_ENDPOINT_MAX], flow[3 * VIEW_ENDPOINT_MAX];
	const char *direction = view_text_or(event, "direction", "");
	const char *arrow = !strcmp(direction, "in")	? "<-"
			    : !strcmp(direction, "out") ? "->"
							: "<->";

	if (!has_flow(event))
		return;
	view_endpoint(local, event, "local");
	view_endpoint(remote, event, "remote");
	snprintf(flow, sizeof(flow), " %.16s %s%s%s", view_text_or(event, "proto", "?"), local,
		 arrow, remote);
	view_print(out, flow);
}

static enum style event_style(const char *event)
{
	if (!strcmp(event, "latch-broken") || !strcmp(event, "drop") || !strcmp(event, "lost") ||
	    !strcmp(event, "latch-refused") || !strcmp(event, "mode-changed"))
		return STYLE_BAD;
	if (!strcmp(event, "latch-established") || !strcmp(event, "sa-bound") ||
	    !strcmp(event, "latch-healed"))
		return STYLE_GOOD;
	if (!strcmp(event, "sa-pending"))
		return STYLE_WARN;
	return STYLE_PLAIN;
}

/* "latch-broken" in two columns: object and verb. */
static void print_event_name(FILE *out, const char *event, bool colour)
{
	size_t first = strcspn(event, "-");
	enum style style = event_style(event);
	char object[64], verb[64], part[64];

	snprintf(part, sizeof(part), "%.*s", (int)(first < 15 ? first : 15), event);
	text_escape(object, sizeof(object), part);
	snprintf(part, sizeof(part), "%.15s", event[first] ? event + first + 1 : "");
	text_escape(verb, sizeof(verb), part);
	fprintf(out, " %-*s %s%-*s%s", OBJECT_WIDTH, object, style_begin(style, colour), VERB_WIDTH,
		verb[0] ? verb : "-", style_end(style, colour));
}

void ctl_render_event(FILE *out, const struct ctl_options *options, struct json_object *event)
{
	view_print(out, view_text_or(event, "time", "-"));
	print_event_name(out, view_text_or(event, "event", "?"), options->colour);
	print_flow(out, event);
	print_named(out, event, "reason", STYLE_PLAIN, options->colour);
	print_named(out, event, "reasons", STYLE_PLAIN, options->colour);
	print_named(out, event, "expected", STYLE_GOOD, options->colour);
	print_named(out, event, "actual", STYLE_BAD, options->colour);
	json_object_object_foreach(event, key, value)
	{
		if (!is_placed(event, key))
			print_value(out, key, event, value);
	}
	fputc('\n', out);
}

/* Prints one line of the stream. Any code but CTL_EXIT_OK ends the monitor. */
static enum ctl_exit show_line(const struct ctl_options *options, const char *line)
{
	struct json_object *event = json_tokener_parse(line);
	enum ctl_exit code = CTL_EXIT_OK;

	if (!json_object_is_type(event, json_type_object))
		code = ctl_fail(
			CTL_EXIT_FAILED,
			"monitor: line from latchd is not a JSON object; use the latchctl of "
			"latchd's version");
	else if (client_print_error("monitor", event, &code))
		;
	else if (options->json)
		fputs(line, stdout);
	else
		ctl_render_event(stdout, options, event);
	json_object_put(event);
	if (fflush(stdout))
		code = ctl_fail(
			CTL_EXIT_FAILED,
			"monitor: standard output: cannot write: %m; check the file or pipe");
	return code;
}

enum ctl_exit ctl_monitor(const struct ctl_options *options)
{
	auto_fclose FILE *stream = NULL;
	auto_free char *line = NULL;
	enum ctl_exit code;
	size_t size = 0;

	code = client_send(options, "monitor", &stream);
	while (code == CTL_EXIT_OK) {
		if (getline(&line, &size, stream) < 0)
			return ctl_fail(CTL_EXIT_UNREACHABLE,
					"monitor: latchd closed the connection; start latchd "
					"again: systemctl start latchd");
		code = show_line(options, line);
	}
	return code;
}
