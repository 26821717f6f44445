/* SPDX-License-Identifier: BSD-2-Clause */
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

struct report {
	FILE *out;
	bool colour;
	struct json_object *document;
};

/* "label        WORD      text", the word in its colour; what is shown is made safe. */
static void report_line(const struct report *report, const char *label, const char *word,
			enum style style, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void report_line(const struct report *report, const char *label, const char *word,
			enum style style, const char *format, ...)
{
	char text[1024], safe_label[128], safe_word[128];
	va_list args;

	text_escape(safe_label, sizeof(safe_label), label);
	text_escape(safe_word, sizeof(safe_word), word);
	fprintf(report->out, "%-*s ", LABEL_WIDTH, safe_label);
	if (word[0])
		fprintf(report->out, "%s%-*s%s ", style_begin(style, report->colour), WORD_WIDTH,
			safe_word, style_end(style, report->colour));
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	view_print(report->out, text);
	fputc('\n', report->out);
}

static void report_daemon(const struct report *report)
{
	struct json_object *daemon = view_member(report->document, "daemon");
	char up[32];

	view_duration(up, sizeof(up), view_number(daemon, "uptime_s"));
	report_line(report, "latchd", "running", STYLE_GOOD,
		    "pid %s, up %s, version %s, abi %s, config %s",
		    view_text_or(daemon, "pid", "?"), up, view_text_or(daemon, "version", "?"),
		    view_text_or(daemon, "abi", "?"), view_text_or(daemon, "config", "?"));
}

static void report_enforcement(const struct report *report)
{
	struct json_object *enforcement = view_member(report->document, "enforcement");
	size_t count = view_count(enforcement, "programs"), attached = 0, i;
	bool on = view_bool(enforcement, "on");
	struct json_object *program;

	for (i = 0; i < count; i++)
		if (view_bool(view_element(enforcement, "programs", i), "attached"))
			attached++;
	report_line(report, "enforcement", on ? "ON" : "OFF", on ? STYLE_GOOD : STYLE_BAD,
		    "%zu of %zu programs attached, cgroup %s", attached, count,
		    view_text_or(enforcement, "cgroup", "?"));
	for (i = 0; i < count; i++) {
		program = view_element(enforcement, "programs", i);
		if (!view_bool(program, "attached"))
			report_line(report, "", "missing", STYLE_BAD, "%s (%s)",
				    view_text_or(program, "name", "?"),
				    view_text_or(program, "hook", "?"));
	}
}

static void report_feed(const struct report *report, struct json_object *feed)
{
	const char *state = view_text_or(feed, "state", "?");
	const char *detail = view_text_or(feed, "detail", "");
	bool synced = !strcmp(state, "synced");
	char label[96];

	snprintf(label, sizeof(label), "feed %s", view_text_or(feed, "name", "?"));
	report_line(report, label, state, synced ? STYLE_GOOD : STYLE_WARN,
		    "%s %s, version %s, resyncs %s%s%s", view_text_or(feed, "type", "?"),
		    view_text_or(feed, "socket", "?"), view_text_or(feed, "version", "?"),
		    view_text_or(feed, "resyncs", "0"), detail[0] ? ": " : "", detail);
}

static void report_feeds(const struct report *report)
{
	size_t count = view_count(report->document, "feeds"), i;

	for (i = 0; i < count; i++)
		report_feed(report, view_element(report->document, "feeds", i));
	if (!count)
		report_line(report, "feeds", "none", STYLE_WARN, "no SA can be attributed");
}

static void report_tables(const struct report *report)
{
	struct json_object *latches = view_member(report->document, "latches");
	struct json_object *sas = view_member(report->document, "sas");
	int64_t broken = view_number(latches, "broken");

	report_line(report, "rules", "", STYLE_PLAIN, "%s",
		    view_text_or(report->document, "rules", "?"));
	report_line(report, "latches", "", STYLE_PLAIN,
		    "%s of %s: established %s, broken %" PRId64
		    ", listener %s, larval %s, closed %s",
		    view_text_or(latches, "used", "?"), view_text_or(latches, "capacity", "?"),
		    view_text_or(latches, "established", "0"), broken,
		    view_text_or(latches, "listener", "0"), view_text_or(latches, "larval", "0"),
		    view_text_or(latches, "closed", "0"));
	report_line(report, "SAs", "", STYLE_PLAIN, "bound %s, pending %s, orphan %s, dying %s",
		    view_text_or(sas, "bound", "0"), view_text_or(sas, "pending", "0"),
		    view_text_or(sas, "orphan", "0"), view_text_or(sas, "dying", "0"));
}

static void report_drops(const struct report *report)
{
	size_t count = view_count(report->document, "drops"), i;
	struct json_object *drop;
	bool any = false;

	for (i = 0; i < count; i++) {
		drop = view_element(report->document, "drops", i);
		if (!view_number(drop, "egress") && !view_number(drop, "ingress"))
			continue;
		report_line(report, any ? "" : "drops", "", STYLE_PLAIN,
			    "%s: %s egress, %s ingress", view_text_or(drop, "reason", "?"),
			    view_text_or(drop, "egress", "0"), view_text_or(drop, "ingress", "0"));
		any = true;
	}
	if (!any)
		report_line(report, "drops", "", STYLE_PLAIN, "none");
}

static void report_rest(const struct report *report)
{
	int64_t lost = view_number(report->document, "events_lost");

	report_line(report, "events", "", STYLE_PLAIN,
		    lost ? "%" PRId64 " lost; state is not affected, see: latchctl list"
			 : "%" PRId64 " lost",
		    lost);
	report_line(report, "kernel", "", STYLE_PLAIN, "%s",
		    view_text_or(report->document, "kernel", "?"));
}

enum ctl_exit ctl_render_status(FILE *out, const struct ctl_options *options,
				struct json_object *document)
{
	const struct report report = {
		.out = out,
		.colour = options->colour,
		.document = document,
	};

	report_daemon(&report);
	report_enforcement(&report);
	report_feeds(&report);
	report_tables(&report);
	report_drops(&report);
	report_rest(&report);
	return view_bool(document, "enforcement.on") ? CTL_EXIT_OK : CTL_EXIT_FAILED;
}

enum ctl_exit ctl_status(const struct ctl_options *options)
{
	return client_show(options, "status", ctl_render_status);
}
