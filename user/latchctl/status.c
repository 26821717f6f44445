/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answer to "latchctl status" for people, and its exit status: 1 if enforcement is off, 6 in
 * audit mode, 3 if something needs attention.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <string.h>

#include "common/text.h"
#include "latchctl/client.h"
#include "latchctl/style.h"
#include "latchctl/view.h"

#define LABEL_WIDTH 12
#define WORD_WIDTH  9

struct status {
	FILE *out;
	bool colour;
	struct json_object *document;
};

/* Prints "label        WORD      text", all escaped, the word in the colour of style. */
static void print_line(const struct status *status, const char *label, const char *word,
		       enum style style, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void print_line(const struct status *status, const char *label, const char *word,
		       enum style style, const char *format, ...)
{
	char text[1024], safe_label[128], safe_word[128];
	va_list args;

	text_escape(safe_label, sizeof(safe_label), label);
	text_escape(safe_word, sizeof(safe_word), word);
	fprintf(status->out, "%-*s ", LABEL_WIDTH, safe_label);
	if (word[0])
		fprintf(status->out, "%s%-*s%s ", style_begin(style, status->colour), WORD_WIDTH,
			safe_word, style_end(style, status->colour));
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	view_print(status->out, text);
	fputc('\n', status->out);
}

static void print_daemon(const struct status *status)
{
	struct json_object *daemon = view_member(status->document, "daemon");
	char up[32];

	view_duration(up, sizeof(up), view_number(daemon, "uptime_s"));
	print_line(status, "latchd", "running", STYLE_GOOD,
		   "pid %s, up %s, version %s, abi %s, config %s", view_text_or(daemon, "pid", "?"),
		   up, view_text_or(daemon, "version", "?"), view_text_or(daemon, "abi", "?"),
		   view_text_or(daemon, "config", "?"));
}

static enum style style_of_cgroup(const char *state)
{
	return !strcmp(state, "failed")				      ? STYLE_BAD
	       : !strcmp(state, "absent") || !strcmp(state, "former") ? STYLE_WARN
								      : STYLE_GOOD;
}

/* One attached cgroup is in the line above. */
static void print_cgroups(const struct status *status, struct json_object *enforcement)
{
	size_t count = view_count(enforcement, "cgroups"), i;

	for (i = 0; i < count; i++) {
		struct json_object *cgroup = view_element(enforcement, "cgroups", i);
		const char *state = view_text_or(cgroup, "state", "?");

		if (count > 1 || strcmp(state, "attached"))
			print_line(status, i ? "" : "cgroups", state, style_of_cgroup(state),
				   "%s (id %s)", view_text_or(cgroup, "path", "?"),
				   view_text_or(cgroup, "id", "?"));
	}
}

static bool is_audit(struct json_object *document)
{
	return !strcmp(view_text_or(document, "enforcement.mode", ""), "audit");
}

static void print_enforcement(const struct status *status)
{
	struct json_object *enforcement = view_member(status->document, "enforcement");
	size_t count = view_count(enforcement, "programs"), attached = 0, i;
	bool on = view_bool(enforcement, "on"), audit = is_audit(status->document);
	struct json_object *program;

	for (i = 0; i < count; i++)
		if (view_bool(view_element(enforcement, "programs", i), "attached"))
			attached++;
	print_line(status, "enforcement",
		   !on	   ? "OFF"
		   : audit ? "AUDIT"
			   : "ON",
		   on && !audit ? STYLE_GOOD : STYLE_BAD,
		   "%s%zu of %zu programs attached, cgroup %s",
		   audit ? "passes what enforcement would drop, see: latchctl audit; " : "",
		   attached, count, view_text_or(enforcement, "cgroup", "?"));
	for (i = 0; i < count; i++) {
		program = view_element(enforcement, "programs", i);
		if (!view_bool(program, "attached"))
			print_line(status, "", "missing", STYLE_BAD, "%s (%s)",
				   view_text_or(program, "name", "?"),
				   view_text_or(program, "hook", "?"));
	}
	print_cgroups(status, enforcement);
}

/* key: "attention" or "notices". */
static void print_rows(const struct status *status, const char *key, enum style style)
{
	size_t count = view_count(status->document, key), i;
	struct json_object *row;

	for (i = 0; i < count; i++) {
		row = view_element(status->document, key, i);
		print_line(status, i ? "" : key, view_text_or(row, "code", "?"), style, "%s: %s",
			   view_text_or(row, "object", "?"), view_text_or(row, "detail", ""));
	}
}

static void print_feed(const struct status *status, struct json_object *feed)
{
	const char *state = view_text_or(feed, "state", "?");
	const char *detail = view_text_or(feed, "detail", "");
	bool synced = !strcmp(state, "synced");
	char label[96];

	snprintf(label, sizeof(label), "feed %s", view_text_or(feed, "name", "?"));
	print_line(status, label, state, synced ? STYLE_GOOD : STYLE_WARN,
		   "%s %s, version %s, resyncs %s%s%s", view_text_or(feed, "type", "?"),
		   view_text_or(feed, "socket", "?"), view_text_or(feed, "version", "?"),
		   view_text_or(feed, "resyncs", "0"), detail[0] ? ": " : "", detail);
}

static void print_feeds(const struct status *status)
{
	size_t count = view_count(status->document, "feeds"), i;

	for (i = 0; i < count; i++)
		print_feed(status, view_element(status->document, "feeds", i));
	if (!count)
		print_line(status, "feeds", "none", STYLE_WARN, "no SA can be attributed");
}

/* An earlier latchd does not tell it. */
static void print_api(const struct status *status)
{
	struct json_object *api = view_member(status->document, "api");

	if (!api)
		return;
	if (view_bool(api, "on"))
		print_line(status, "api", "on", STYLE_PLAIN,
			   "applications ask their sockets for the peer, see: latchctl whois");
	else
		print_line(status, "api", "off", STYLE_PLAIN,
			   "sockets do not answer applications, see: [api] in latchd.conf(5)");
}

static void print_tables(const struct status *status)
{
	struct json_object *latches = view_member(status->document, "latches");
	struct json_object *sas = view_member(status->document, "sas");
	int64_t broken = view_number(latches, "broken");
	int64_t contested = view_number(sas, "contested");

	print_line(status, "rules", "", STYLE_PLAIN, "%s",
		   view_text_or(status->document, "rules", "?"));
	print_line(status, "latches", "", STYLE_PLAIN,
		   "%s of %s: established %s, broken %" PRId64
		   ", listener %s, larval %s, closed %s",
		   view_text_or(latches, "used", "?"), view_text_or(latches, "capacity", "?"),
		   view_text_or(latches, "established", "0"), broken,
		   view_text_or(latches, "listener", "0"), view_text_or(latches, "larval", "0"),
		   view_text_or(latches, "closed", "0"));
	print_line(status, "SAs", "", STYLE_PLAIN, "bound %s, pending %s, orphan %s, dying %s",
		   view_text_or(sas, "bound", "0"), view_text_or(sas, "pending", "0"),
		   view_text_or(sas, "orphan", "0"), view_text_or(sas, "dying", "0"));
	if (contested > 0)
		print_line(status, "contested SAs", "", STYLE_WARN,
			   "%" PRId64 " start no connection, see: latchctl sa", contested);
}

static void print_drops(const struct status *status)
{
	size_t count = view_count(status->document, "drops"), i;
	struct json_object *drop;
	bool any = false;

	for (i = 0; i < count; i++) {
		drop = view_element(status->document, "drops", i);
		if (!view_number(drop, "egress") && !view_number(drop, "ingress"))
			continue;
		print_line(status, any ? "" : "drops", "", STYLE_PLAIN, "%s: %s egress, %s ingress",
			   view_text_or(drop, "reason", "?"), view_text_or(drop, "egress", "0"),
			   view_text_or(drop, "ingress", "0"));
		any = true;
	}
	if (!any)
		print_line(status, "drops", "", STYLE_PLAIN, "none");
}

static void print_rest(const struct status *status)
{
	int64_t lost = view_number(status->document, "events_lost");

	print_line(status, "events", "", STYLE_PLAIN,
		   lost ? "%" PRId64 " lost; state is not affected, see: latchctl list"
			: "%" PRId64 " lost",
		   lost);
	print_line(status, "kernel", "", STYLE_PLAIN, "%s",
		   view_text_or(status->document, "kernel", "?"));
}

enum ctl_exit ctl_render_status(FILE *out, const struct ctl_options *options,
				struct json_object *document)
{
	const struct status status = {
		.out = out,
		.colour = options->colour,
		.document = document,
	};

	print_daemon(&status);
	print_enforcement(&status);
	print_rows(&status, "attention", STYLE_WARN);
	print_rows(&status, "notices", STYLE_PLAIN);
	print_feeds(&status);
	print_api(&status);
	print_tables(&status);
	print_drops(&status);
	print_rest(&status);
	if (!view_bool(document, "enforcement.on"))
		return CTL_EXIT_FAILED;
	if (is_audit(document))
		return CTL_EXIT_AUDIT;
	return view_count(document, "attention") ? CTL_EXIT_ATTENTION : CTL_EXIT_OK;
}

enum ctl_exit ctl_status(const struct ctl_options *options)
{
	return client_show(options, "status", ctl_render_status);
}
