/* SPDX-License-Identifier: BSD-2-Clause */
/* latchctl list: the latches that meet the conditions, as a table or as JSON. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "latchctl/client.h"
#include "latchctl/filter.h"
#include "latchctl/table.h"
#include "latchctl/view.h"

/* 80 columns show two IPv6 addresses, cut. */
#define ENDPOINT_LAST 15

static const struct table_column columns[] = {
	{"ID", 0, 0, 0},
	{"STATE", 0, 0, 0},
	{"DIR", 0, 2, 0},
	{"LOCAL", 0, 0, ENDPOINT_LAST},
	{"REMOTE", 0, 0, ENDPOINT_LAST},
	{"PROTO", 0, 3, 0},
	{"PEER", 12, 0, 8},
	{"SA OUT/IN", 0, 5, 0},
	{"SINCE", 0, 4, 0},
	{"DROPS", 0, 0, 0},
	{"NETNS", 0, 6, 0},
	{"RULE", 0, 7, 0},
	{"DISPOSITION", 0, 8, 0},
	{"REASONS", 10, 1, 0},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

static enum style state_style(const char *state)
{
	if (!strcmp(state, "established"))
		return STYLE_GOOD;
	if (!strcmp(state, "broken"))
		return STYLE_BAD;
	return STYLE_PLAIN;
}

static void add_latch(struct table *table, struct json_object *latch)
{
	char endpoint[VIEW_ENDPOINT_MAX], spis[64], age[64], reasons[256];
	const char *state = view_text_or(latch, "state", "?");

	table_add(table, STYLE_PLAIN, view_text_or(latch, "id", "?"));
	table_add(table, state_style(state), state);
	table_add(table, STYLE_PLAIN, view_text_or(latch, "direction", "-"));
	view_endpoint(endpoint, latch, "local");
	table_add(table, STYLE_PLAIN, endpoint);
	view_endpoint(endpoint, latch, "remote");
	table_add(table, STYLE_PLAIN, strcmp(state, "listener") ? endpoint : "*");
	table_add(table, STYLE_PLAIN, view_text_or(latch, "proto", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(latch, "peer.id", "-"));
	snprintf(spis, sizeof(spis), "%.20s/%.20s", view_text_or(latch, "sa.out", "-"),
		 view_text_or(latch, "sa.in", "-"));
	table_add(table, STYLE_PLAIN, spis);
	view_age(age, sizeof(age), view_text_or(latch, "since", "-"));
	table_add(table, STYLE_PLAIN, age);
	table_add(table, view_number(latch, "drops") ? STYLE_WARN : STYLE_PLAIN,
		  view_text_or(latch, "drops", "-"));
	table_add(table, STYLE_PLAIN, view_netns(latch));
	table_add(table, STYLE_PLAIN, view_text_or(latch, "rule", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(latch, "disposition", "-"));
	view_joined(reasons, sizeof(reasons), latch, "reasons", "-");
	table_add(table, STYLE_PLAIN, reasons);
}

enum ctl_exit ctl_render_list(FILE *out, const struct ctl_options *options,
			      struct json_object *document)
{
	size_t count = view_count(document, "latches"), i;
	struct table table;
	int err;

	table_begin(&table, columns, COLUMN_COUNT);
	for (i = 0; i < count; i++)
		add_latch(&table, view_element(document, "latches", i));
	err = table_print(&table, out, options->width, options->colour);
	table_end(&table);
	return err ? ctl_fail(CTL_EXIT_FAILED,
			      "list: cannot print the table: out of memory; use --json")
		   : CTL_EXIT_OK;
}

/* By ID: in the order in which the latches were created. */
static int compare_ids(const void *first, const void *second)
{
	unsigned long long a, b;

	a = strtoull(view_text_or(*(struct json_object *const *)first, "id", ""), NULL, 16);
	b = strtoull(view_text_or(*(struct json_object *const *)second, "id", ""), NULL, 16);
	return (a > b) - (a < b);
}

/* The document has no defined order of latches. */
static bool select_latches(void *context, struct json_object *document)
{
	const struct filter *filter = context;
	size_t count = view_count(document, "latches"), i;
	struct json_object *selected = json_object_new_array(), *latch;

	filter_tell_unknown(filter, document);
	for (i = 0; i < count; i++) {
		latch = view_element(document, "latches", i);
		if (filter_matches(filter, latch))
			json_object_array_add(selected, json_object_get(latch));
	}
	json_object_array_sort(selected, compare_ids);
	json_object_object_add(document, "latches", selected);
	return filter->count;
}

enum ctl_exit ctl_list(const struct ctl_options *options)
{
	struct filter filter = {.count = 0};
	enum ctl_exit code = filter_parse(&filter, options->words, options->word_count);

	return code != CTL_EXIT_OK ? code
				   : client_show_selected(options, "list", ctl_render_list,
							  select_latches, &filter);
}
