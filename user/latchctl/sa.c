/* SPDX-License-Identifier: BSD-2-Clause */
/* latchctl sa: the SAs of the kernel, their states and their peers. */
#include <json-c/json.h>
#include <string.h>

#include "latchctl/client.h"
#include "latchctl/table.h"
#include "latchctl/view.h"

static const struct table_column columns[] = {
	{"SPI", 0, 0, 0},   {"STATE", 0, 0, 0}, {"SRC", 0, 0, 15},
	{"DST", 0, 0, 15},  {"PROTO", 0, 1, 0}, {"MODE", 0, 2, 0},
	{"PEER", 12, 0, 8}, {"REQID", 0, 3, 0}, {"NETNS", 0, 4, 0},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

static enum style state_style(const char *state)
{
	if (!strcmp(state, "bound"))
		return STYLE_GOOD;
	if (!strcmp(state, "pending") || !strcmp(state, "orphan"))
		return STYLE_WARN;
	return STYLE_PLAIN;
}

/* latchd writes peer as {"id","auth"}; the ID alone is accepted, too. */
static const char *peer_of(struct json_object *sa)
{
	bool is_object = json_object_is_type(view_member(sa, "peer"), json_type_object);

	return view_text_or(sa, is_object ? "peer.id" : "peer", "-");
}

static void add_sa(struct table *table, struct json_object *sa)
{
	const char *state = view_text_or(sa, "state", "?");

	table_add(table, STYLE_PLAIN, view_text_or(sa, "spi", "?"));
	table_add(table, state_style(state), state);
	table_add(table, STYLE_PLAIN, view_text_or(sa, "src", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(sa, "dst", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(sa, "proto", "-"));
	table_add(table, STYLE_PLAIN, view_text_or(sa, "mode", "-"));
	table_add(table, STYLE_PLAIN, peer_of(sa));
	table_add(table, STYLE_PLAIN, view_text_or(sa, "reqid", "-"));
	table_add(table, STYLE_PLAIN, view_netns(sa));
}

/* The reason is too long for a column, so it has a line below the table. */
static void print_refusal(FILE *out, struct json_object *sa)
{
	const char *reason = view_text(sa, "refused");

	if (!reason)
		return;
	view_print(out, view_text_or(sa, "spi", "?"));
	fputs(" refused: ", out);
	view_print(out, reason);
	fputc('\n', out);
}

/* No connection begins under a contested SA. Prints the other SA and the common traffic. */
static void print_rival(FILE *out, struct json_object *sa)
{
	struct json_object *rival = view_member(sa, "contested_by");

	if (!rival)
		return;
	view_print(out, view_text_or(sa, "spi", "?"));
	fputs(" contested: by ", out);
	view_print(out, view_text_or(rival, "spi", "?"));
	fputs(" of ", out);
	view_print(out, peer_of(rival));
	fputs(", for ", out);
	view_print(out, view_text_or(rival, "local", "?"));
	fputs(" === ", out);
	view_print(out, view_text_or(rival, "remote", "?"));
	fputc('\n', out);
}

enum ctl_exit ctl_render_sa(FILE *out, const struct ctl_options *options,
			    struct json_object *document)
{
	size_t count = view_count(document, "sas"), i;
	struct table table;
	int err;

	table_begin(&table, columns, COLUMN_COUNT);
	for (i = 0; i < count; i++)
		add_sa(&table, view_element(document, "sas", i));
	err = table_print(&table, out, options->width, options->colour);
	table_end(&table);
	for (i = 0; i < count && !err; i++) {
		print_refusal(out, view_element(document, "sas", i));
		print_rival(out, view_element(document, "sas", i));
	}
	return err ? ctl_fail(CTL_EXIT_FAILED,
			      "sa: cannot print the table: out of memory; use --json")
		   : CTL_EXIT_OK;
}

/* The document has no defined order of SAs. */
static int compare_sas(const void *first, const void *second)
{
	static const char *const keys[] = {"src", "dst", "proto", "spi"};
	struct json_object *a = *(struct json_object *const *)first;
	struct json_object *b = *(struct json_object *const *)second;
	int64_t one = view_number(a, "netns"), other = view_number(b, "netns");
	int order = (one > other) - (one < other);
	size_t i;

	for (i = 0; !order && i < sizeof(keys) / sizeof(keys[0]); i++)
		order = strcmp(view_text_or(a, keys[i], ""), view_text_or(b, keys[i], ""));
	return order;
}

static bool sort_sas(void *context, struct json_object *document)
{
	struct json_object *sas = view_member(document, "sas");

	(void)context;
	if (json_object_is_type(sas, json_type_array))
		json_object_array_sort(sas, compare_sas);
	return false;
}

enum ctl_exit ctl_sa(const struct ctl_options *options)
{
	return client_show_selected(options, "sa", ctl_render_sa, sort_sas, NULL);
}
