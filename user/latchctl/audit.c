/* SPDX-License-Identifier: BSD-2-Clause */
/* latchctl audit: the flows that enforcement would have dropped, most flows first. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "latchctl/client.h"
#include "latchctl/table.h"
#include "latchctl/view.h"

static const struct table_column columns[] = {
	{"RULE", 0, 0, 0},    {"PEER", 12, 0, 8}, {"REASON", 0, 0, 0}, {"FLOWS", 0, 0, 0},
	{"PACKETS", 0, 2, 0}, {"LAST", 0, 3, 0},  {"SA OF", 12, 1, 8}, {"FOR EXAMPLE", 0, 4, 0},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

static void reason_text(char *out, size_t size, struct json_object *row)
{
	char reasons[128];

	view_joined(reasons, sizeof(reasons), row, "reasons", "");
	snprintf(out, size, "%s%s%s%s", view_text_or(row, "reason", "?"), reasons[0] ? " (" : "",
		 reasons, reasons[0] ? ")" : "");
}

static void flow_text(char *out, size_t size, struct json_object *row)
{
	struct json_object *flow = view_member(row, "example");
	const char *direction = view_text_or(flow, "direction", "");
	char local[VIEW_ENDPOINT_MAX], remote[VIEW_ENDPOINT_MAX];

	view_endpoint(local, flow, "local");
	view_endpoint(remote, flow, "remote");
	snprintf(out, size, "%.16s %s %s %s", view_text_or(flow, "proto", "?"), local,
		 !strcmp(direction, "in")    ? "<-"
		 : !strcmp(direction, "out") ? "->"
					     : "<->",
		 remote);
}

static void add_row(struct table *table, struct json_object *row)
{
	const bool others = view_bool(row, "others");
	char reason[192], flow[3 * VIEW_ENDPOINT_MAX], last[64];

	reason_text(reason, sizeof(reason), row);
	flow_text(flow, sizeof(flow), row);
	view_age(last, sizeof(last), view_text_or(row, "last", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(row, "rule", "-"));
	table_add(table, STYLE_PLAIN, others ? "(others)" : view_text_or(row, "peer.id", "-"));
	table_add(table, STYLE_PLAIN, reason);
	table_add(table, STYLE_PLAIN, view_text_or(row, "flows", "0"));
	table_add(table, STYLE_PLAIN, view_text_or(row, "packets", "0"));
	table_add(table, STYLE_PLAIN, last);
	table_add(table, STYLE_PLAIN, view_text_or(row, "sa_peer.id", "-"));
	table_add(table, STYLE_PLAIN, flow);
}

static void print_mode(FILE *out, const struct ctl_options *options, struct json_object *document)
{
	bool audit = !strcmp(view_text_or(document, "mode", ""), "audit");
	enum style style = audit ? STYLE_BAD : STYLE_PLAIN;

	fputs("mode is ", out);
	fputs(style_begin(style, options->colour), out);
	view_print(out, view_text_or(document, "mode", "?"));
	fputs(style_end(style, options->colour), out);
	fputs(" since ", out);
	view_print(out, view_text_or(document, "mode_since", "the first start"));
	fputs(audit ? "; enforcement would have dropped:\n" : "; the last audit found:\n", out);
}

static int by_flows(const void *a, const void *b)
{
	struct json_object *const *one = a, *const *other = b;
	int64_t x = view_number(*one, "flows"), y = view_number(*other, "flows");

	if (x == y) {
		x = view_number(*one, "packets");
		y = view_number(*other, "packets");
	}
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Most flows first. */
static void sort_rows(struct json_object *document)
{
	struct json_object *rows = view_member(document, "rows");

	if (json_object_is_type(rows, json_type_array))
		json_object_array_sort(rows, by_flows);
}

enum ctl_exit ctl_render_audit(FILE *out, const struct ctl_options *options,
			       struct json_object *document)
{
	size_t count = view_count(document, "rows"), i;
	int64_t unmarked = view_number(document, "unmarked");
	struct table table;
	int err;

	sort_rows(document);
	print_mode(out, options, document);
	table_begin(&table, columns, COLUMN_COUNT);
	for (i = 0; i < count; i++)
		add_row(&table, view_element(document, "rows", i));
	err = count ? table_print(&table, out, options->width, options->colour) : 0;
	table_end(&table);
	if (!count)
		fputs("nothing\n", out);
	if (unmarked)
		fprintf(out,
			"%" PRId64 " flows began without room for their mark: enforcement will "
			"not refuse all of them\n",
			unmarked);
	return err ? ctl_fail(CTL_EXIT_FAILED,
			      "audit: cannot print the table: out of memory; use --json")
		   : CTL_EXIT_OK;
}

enum ctl_exit ctl_audit(const struct ctl_options *options)
{
	return client_show(options, "audit", ctl_render_audit);
}
