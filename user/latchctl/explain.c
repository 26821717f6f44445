/* SPDX-License-Identifier: BSD-2-Clause */
/* The answer to "latchctl explain" as rows for people; text of others looks like no other row. */
#include <json-c/json.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/flow_query.h"
#include "common/text.h"
#include "latchctl/client.h"
#include "latchctl/paragraph.h"
#include "latchctl/view.h"

#define LATCH_ID_DIGITS 16
#define LINE_SIZE	8192
#define NAME_SIZE	2048

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* ---- the answer as text */

struct page {
	FILE *out;
	const struct ctl_options *options;
	struct json_object *document;
};

static void print(const struct page *page, const char *label, enum style style, const char *text)
{
	paragraph_print(page->out, page->options->width, label, text, style, page->options->colour);
}

#define ADD(...) text_add(line, sizeof(line), __VA_ARGS__)

/* Peers choose names: the words of latchctl are outside of the quotation marks. */
static const char *quoted(char out[NAME_SIZE], struct json_object *object, const char *path,
			  const char *fallback)
{
	const char *text = view_text(object, path);

	return text && text[0] ? text_quote(out, NAME_SIZE, text) : fallback;
}

static void add_age(char line[LINE_SIZE], const char *before, struct json_object *object,
		    const char *path)
{
	char age[64];

	if (!view_text(object, path))
		return;
	view_age(age, sizeof(age), view_text(object, path));
	text_add(line, LINE_SIZE, "%s %s ago", before, age);
}

static const char *arrow(struct json_object *flow)
{
	const char *direction = view_text_or(flow, "direction", "");

	return !strcmp(direction, "out") ? "->" : !strcmp(direction, "in") ? "<-" : "<->";
}

static void print_flow(const struct page *page)
{
	struct json_object *flow = view_member(page->document, "flow");
	char line[LINE_SIZE] = "", local[VIEW_ENDPOINT_MAX], remote[VIEW_ENDPOINT_MAX];

	view_endpoint(local, flow, "local");
	view_endpoint(remote, flow, "remote");
	ADD("%s %s %s %s", view_text_or(flow, "proto", "?"), local, arrow(flow),
	    view_member(flow, "remote") ? remote : "*");
	if (view_text(flow, "netns_name"))
		ADD(", network namespace %s", view_text(flow, "netns_name"));
	ADD(" (cookie %s)", view_text_or(flow, "netns", "?"));
	if (view_bool(flow, "any_local_port"))
		ADD("; the local port is an example");
	if (view_number(flow, "latches") > 1)
		ADD("; %s latches have these ends, and the last event was of this flow",
		    view_text_or(flow, "latches", "?"));
	print(page, "flow", STYLE_PLAIN, line);
}

static void print_rule(const struct page *page)
{
	struct json_object *rule = view_member(page->document, "rule");
	const char *name = view_text_or(rule, "name", ""),
		   *at_start = view_text_or(rule, "at_start", "");
	char line[LINE_SIZE] = "";

	ADD("%s%s%s", name, name[0] ? ": " : "", view_text_or(rule, "text", "?"));
	if (at_start[0] && strcmp(at_start, name) != 0)
		ADD("; when it began: %s", at_start);
	print(page, "rule", STYLE_PLAIN, line);
}

static enum style state_style(const char *state)
{
	if (!strcmp(state, "established"))
		return STYLE_GOOD;
	return strcmp(state, "broken") ? STYLE_PLAIN : STYLE_BAD;
}

static void print_latch(const struct page *page)
{
	struct json_object *latch = view_member(page->document, "latch");
	const char *state = view_text_or(latch, "state", "?");
	char line[LINE_SIZE] = "", reasons[256], peer[NAME_SIZE], local[NAME_SIZE];

	if (!latch) {
		print(page, "latch", STYLE_PLAIN, "none");
		return;
	}
	view_joined(reasons, sizeof(reasons), latch, "reasons", "");
	ADD("%s, %s%s%s%s", view_text_or(latch, "id", "?"), state, reasons[0] ? " (" : "", reasons,
	    reasons[0] ? ")" : "");
	add_age(line, ", created", latch, "created");
	add_age(line, ", broken", latch, "broken");
	add_age(line, ", ended", latch, "ended");
	ADD(", %s packets dropped", view_text_or(latch, "drops", "0"));
	if (view_bool(latch, "audited"))
		ADD("; audit mode: enforcement would have broken it");
	print(page, "latch", state_style(state), line);
	line[0] = '\0';
	if (view_text(latch, "peer.id"))
		ADD("%s (%s), this host as %s", quoted(peer, latch, "peer.id", "?"),
		    view_text_or(latch, "peer.auth", "?"), quoted(local, latch, "local_id", "?"));
	print(page, "peer", STYLE_PLAIN, line);
}

static void add_sa(char line[LINE_SIZE], struct json_object *sa)
{
	char peer[NAME_SIZE];

	text_add(line, LINE_SIZE, "SA %s to %s, %s, of %s", view_text_or(sa, "spi", "?"),
		 view_text_or(sa, "dst", "?"), view_text_or(sa, "state", "gone"),
		 quoted(peer, sa, "peer.id", "an unknown peer"));
}

static void print_packet(const struct page *page)
{
	struct json_object *packet = view_member(page->document, "packet");
	struct json_object *sa = view_member(packet, "sa");
	char line[LINE_SIZE] = "";

	if (!packet)
		return;
	ADD("%s", view_text_or(packet, "verdict", "?"));
	if (!strcmp(view_text_or(packet, "verdict", ""), "audited"))
		ADD(": passed, and enforcement would have dropped it");
	if (view_text(packet, "reason")) {
		ADD(" (%s, %s)", view_text_or(packet, "reason", "?"),
		    view_text_or(packet, "packet", "?"));
		add_age(line, "", packet, "time");
		ADD("; ");
		if (sa)
			add_sa(line, sa);
		else
			ADD("no SA");
	} else {
		ADD("; SA out %s, in %s", view_text_or(sa, "out", "-"),
		    view_text_or(sa, "in", "-"));
	}
	print(page, "packet", STYLE_PLAIN, line);
}

static void print_mismatch(const struct page *page)
{
	size_t i, count = view_count(page->document, "mismatch");
	struct json_object *one;
	char line[LINE_SIZE], want[NAME_SIZE], got[NAME_SIZE];

	for (i = 0; i < count; i++) {
		one = view_element(page->document, "mismatch", i);
		line[0] = '\0';
		ADD("%s: latched %s, found %s", view_text_or(one, "field", "?"),
		    quoted(want, one, "expected", "none"), quoted(got, one, "actual", "none"));
		print(page, "mismatch", STYLE_WARN, line);
	}
}

static void print_cause(const struct page *page)
{
	char line[LINE_SIZE] = "";

	ADD("%s: %s", view_text_or(page->document, "cause.code", "?"),
	    view_text_or(page->document, "cause.text", "?"));
	print(page, "cause", STYLE_PLAIN, line);
	print(page, "next", STYLE_PLAIN, view_text_or(page->document, "next", ""));
}

/* ---- what a new connection would get */

static void print_policies(const struct page *page, struct json_object *now)
{
	size_t i, count = view_count(now, "policies");
	struct json_object *policy;
	char line[LINE_SIZE];

	for (i = 0; i < count; i++) {
		policy = view_element(now, "policies", i);
		line[0] = '\0';
		ADD("%s: %s", view_text_or(policy, "direction", "?"),
		    view_text_or(policy, "action", "?"));
		if (view_bool(policy, "default"))
			ADD(" (the default, no policy matches)");
		else
			ADD(", %s === %s, priority %s", view_text_or(policy, "src", "?"),
			    view_text_or(policy, "dst", "?"),
			    view_text_or(policy, "priority", "?"));
		print(page, "policy", STYLE_PLAIN, line);
	}
}

static void print_sas(const struct page *page, struct json_object *now)
{
	size_t i, count = view_count(now, "sas");
	struct json_object *sa;
	char line[LINE_SIZE];

	for (i = 0; i < count; i++) {
		sa = view_element(now, "sas", i);
		line[0] = '\0';
		ADD("%s: ", view_text_or(sa, "direction", "?"));
		add_sa(line, sa);
		if (view_bool(sa, "contested"))
			ADD(", contested");
		if (view_bool(sa, "ambiguous"))
			ADD(", ambiguous");
		if (view_bool(sa, "unproven"))
			ADD(", its report refused");
		print(page, "SA", STYLE_PLAIN, line);
	}
	if (view_number(now, "sa_count") > (int64_t)count) {
		line[0] = '\0';
		ADD("and %lld older ones",
		    (long long)view_number(now, "sa_count") - (long long)count);
		print(page, "SA", STYLE_PLAIN, line);
	}
}

static void print_now(const struct page *page)
{
	struct json_object *now = view_member(page->document, "now");
	char line[LINE_SIZE] = "";

	if (!now)
		return;
	ADD("a new connection: %s", view_text_or(now, "text", "?"));
	print(page, "now", STYLE_PLAIN, line);
	print_policies(page, now);
	print_sas(page, now);
}

/* Prints whether a record may be missing. */
static void print_gaps(const struct page *page)
{
	struct json_object *history = view_member(page->document, "history");
	char line[LINE_SIZE] = "";

	if (!history)
		return;
	ADD("records since %s", view_text_or(history, "since", "?"));
	if (view_number(history, "replaced"))
		ADD("; %s were replaced by others", view_text_or(history, "replaced", "?"));
	if (view_number(history, "events_lost"))
		ADD("; %s kernel events were lost, the last ones noticed %s",
		    view_text_or(history, "events_lost", "?"), view_text_or(history, "lost", "?"));
	print(page, "history", STYLE_PLAIN, line);
}

enum ctl_exit ctl_render_explain(FILE *out, const struct ctl_options *options,
				 struct json_object *document)
{
	const struct page page = {out, options, document};

	print_flow(&page);
	print_rule(&page);
	print_latch(&page);
	print_packet(&page);
	print_mismatch(&page);
	print_cause(&page);
	print_now(&page);
	print_gaps(&page);
	return CTL_EXIT_OK;
}

/* ---- the request */

static bool is_id(const struct ctl_options *options)
{
	size_t digits = strspn(options->words[0], "0123456789abcdefABCDEF");

	return options->word_count == 1 && digits && digits <= LATCH_ID_DIGITS &&
	       !options->words[0][digits];
}

/* If no namespace is given: the namespace of latchctl. */
static void add_own_netns(struct flow_query *query)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	if (!query->netns[0] && fd >= 0 &&
	    !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length))
		snprintf(query->netns, sizeof(query->netns), "%llu", (unsigned long long)cookie);
}

static enum ctl_exit explain_flow(const struct ctl_options *options)
{
	char text[FLOW_QUERY_TEXT_SIZE], request[FLOW_QUERY_TEXT_SIZE + sizeof("explain ")];
	struct failure failure;
	struct flow_query query;

	if (flow_query_parse((const char *const *)options->words, options->word_count, &query,
			     &failure))
		return ctl_fail(CTL_EXIT_USAGE,
				"explain: cannot read flow: %s; for example: latchctl "
				"explain tcp 10.0.0.1 10.0.0.2:5432",
				failure.text);
	add_own_netns(&query);
	flow_query_text(text, &query);
	snprintf(request, sizeof(request), "explain %s", text);
	return client_show(options, request, ctl_render_explain);
}

enum ctl_exit ctl_explain(const struct ctl_options *options)
{
	char request[64];

	if (!options->word_count)
		return ctl_fail(CTL_EXIT_USAGE,
				"explain: no latch ID and no flow given; for example: latchctl "
				"explain 1f, latchctl explain tcp 10.0.0.1 10.0.0.2:5432");
	if (!is_id(options))
		return explain_flow(options);
	snprintf(request, sizeof(request), "explain %s", options->words[0]);
	return client_show(options, request, ctl_render_explain);
}
