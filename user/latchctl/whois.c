/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answer of a connection's socket, found by its ends. By the time of the answer another
 * connection may have these ends, so a program uses its own socket instead (latch(7)), or that of
 * the process that serves the connection (whois_fd.c).
 */
#include <arpa/inet.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/socket.h>

#include "common/flow_query.h"
#include "latchctl/client.h"
#include "latchctl/table.h"
#include "latchctl/view.h"
#include "latchctl/whois_fd.h"

#define ENDS_MAX 2

struct end {
	char address[INET6_ADDRSTRLEN];
	int64_t port;
};

/* One end: of either side. Two: local and remote. */
struct whois {
	struct end ends[ENDS_MAX];
	size_t count;
};

/* Rows that differ in their protocol or namespace only are different connections. */
static const struct table_column columns[] = {
	{"ID", 0, 0, 0},	{"STATE", 0, 0, 0},	 {"PEER", 12, 0, 8}, {"TAGS", 8, 3, 0},
	{"LOCAL ID", 12, 4, 0}, {"CONNECTION", 8, 5, 0}, {"PROTO", 0, 0, 0}, {"NETNS", 10, 0, 6},
	{"LOCAL", 0, 0, 15},	{"REMOTE", 0, 0, 15},	 {"AGE", 0, 1, 0},   {"WHY", 0, 2, 0},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

/* ---- the ends */

/* Reads an end as the ends of a flow are read, including IPv4-mapped addresses. */
static enum ctl_exit parse_end(const char *word, struct end *ret)
{
	const char *const words[] = {"tcp", word, word};
	struct failure failure;
	struct flow_query query;

	if (flow_query_parse(words, 3, &query, &failure) || !query.flow.local_port)
		return ctl_fail(
			CTL_EXIT_USAGE,
			"whois: \"%s\" is no end of a connection; use ADDRESS:PORT, with an "
			"IPv6 address in brackets",
			word);
	inet_ntop(query.flow.family, query.flow.local_addr, ret->address, sizeof(ret->address));
	ret->port = query.flow.local_port;
	return CTL_EXIT_OK;
}

static enum ctl_exit parse_ends(const struct ctl_options *options, struct whois *ret)
{
	enum ctl_exit code = CTL_EXIT_OK;
	size_t i;

	if (!options->word_count || options->word_count > ENDS_MAX)
		return ctl_fail(
			CTL_EXIT_USAGE,
			"whois: %zu ends given; use LOCAL:PORT REMOTE:PORT, or one of them, or "
			"--pid N --fd N",
			options->word_count);
	for (i = 0; code == CTL_EXIT_OK && i < options->word_count; i++)
		code = parse_end(options->words[i], &ret->ends[i]);
	ret->count = options->word_count;
	return code;
}

static bool is_at(struct json_object *latch, const char *side, const struct end *end)
{
	struct json_object *its = view_member(latch, side);

	return its && !strcmp(view_text_or(its, "addr", ""), end->address) &&
	       view_number(its, "port") == end->port;
}

/* A LISTENER has no remote end, and no peer. */
static bool matches(const struct whois *whois, struct json_object *latch)
{
	if (!view_member(latch, "remote"))
		return false;
	if (whois->count == ENDS_MAX)
		return is_at(latch, "local", &whois->ends[0]) &&
		       is_at(latch, "remote", &whois->ends[1]);
	return is_at(latch, "local", &whois->ends[0]) || is_at(latch, "remote", &whois->ends[0]);
}

/* Adds a member of latchd's document unchanged; NULL adds null. */
static void add_member(struct json_object *row, struct json_object *latch, const char *name,
		       const char *path)
{
	json_object_object_add(row, name, json_object_get(view_member(latch, path)));
}

/* The answer of the connection's socket, and the members that identify the connection. */
static struct json_object *row_of(struct json_object *latch)
{
	static const char *const members[][2] = {
		{"id", "id"},
		{"state", "answer.state"},
		{"why", "answer.why"},
		{"peer", "answer.peer"},
		{"local_id", "answer.local_id"},
		{"connection", "answer.connection"},
		{"tags", "answer.tags"},
		{"proto", "proto"},
		{"netns", "netns"},
		{"netns_name", "netns_name"},
		{"local", "local"},
		{"remote", "remote"},
		{"created", "created"},
	};
	struct json_object *row = json_object_new_object();
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		add_member(row, latch, members[i][0], members[i][1]);
	return row;
}

static bool select_connections(void *context, struct json_object *document)
{
	size_t count = view_count(document, "latches"), i;
	struct json_object *selected = json_object_new_array(), *latch;

	for (i = 0; i < count; i++) {
		latch = view_element(document, "latches", i);
		if (matches(context, latch))
			json_object_array_add(selected, row_of(latch));
	}
	json_object_object_del(document, "latches");
	json_object_object_add(document, "connections", selected);
	return true;
}

/* ---- the answer */

/* Without a state: sockets of this kind are not served. */
static void add_connection(struct table *table, struct json_object *row)
{
	char endpoint[VIEW_ENDPOINT_MAX], age[64], tags[1100];
	const char *state = view_text_or(row, "state", "not-served");

	table_add(table, STYLE_PLAIN, view_text_or(row, "id", "?"));
	table_add(table, strcmp(state, "established") ? STYLE_WARN : STYLE_GOOD, state);
	table_add(table, STYLE_PLAIN, view_text_or(row, "peer.id", "-"));
	view_joined(tags, sizeof(tags), row, "tags", "-");
	table_add(table, STYLE_PLAIN, tags);
	table_add(table, STYLE_PLAIN, view_text_or(row, "local_id", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(row, "connection", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(row, "proto", "-"));
	table_add(table, STYLE_PLAIN, view_netns(row));
	view_endpoint(endpoint, row, "local");
	table_add(table, STYLE_PLAIN, endpoint);
	view_endpoint(endpoint, row, "remote");
	table_add(table, STYLE_PLAIN, endpoint);
	view_age(age, sizeof(age), view_text_or(row, "created", "-"));
	table_add(table, STYLE_PLAIN, age);
	table_add(table, STYLE_PLAIN, view_text_or(row, "why", "-"));
}

enum ctl_exit ctl_render_whois(FILE *out, const struct ctl_options *options,
			       struct json_object *document)
{
	size_t count = view_count(document, "connections"), i;
	struct table table;
	int err;

	if (!count)
		return ctl_fail(CTL_EXIT_FAILED,
				"whois: no latched connection has this end; see latchctl list, or "
				"latchctl explain for the reason");
	table_begin(&table, columns, COLUMN_COUNT);
	for (i = 0; i < count; i++)
		add_connection(&table, view_element(document, "connections", i));
	err = table_print(&table, out, options->width, options->colour);
	table_end(&table);
	return err ? ctl_fail(CTL_EXIT_FAILED,
			      "whois: cannot print the table: out of memory; use --json")
		   : CTL_EXIT_OK;
}

static enum ctl_exit whois_ends(const struct ctl_options *options)
{
	struct whois whois = {.count = 0};
	enum ctl_exit code = parse_ends(options, &whois);

	return code != CTL_EXIT_OK ? code
				   : client_show_selected(options, "list", ctl_render_whois,
							  select_connections, &whois);
}

enum ctl_exit ctl_whois(const struct ctl_options *options)
{
	if (!options->pid && !options->fd)
		return whois_ends(options);
	if (!options->pid || !options->fd || options->word_count)
		return ctl_fail(CTL_EXIT_USAGE,
				"whois: options --pid and --fd belong together, without ends; run: "
				"latchctl help");
	return ctl_whois_fd(options, ctl_render_whois);
}
