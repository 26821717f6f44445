/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event lines of monitor: ctl_render_event() renders JSON events of the test into memory. An
 * identity, which a peer chooses, must not look like another part of the line.
 */
#include "rendered.h"

#include <string.h>

static enum ctl_exit render_event(FILE *out, const struct ctl_options *how,
				  struct json_object *event)
{
	ctl_render_event(out, how, event);
	return CTL_EXIT_OK;
}

static void expect_line(const char *json, const char *expected)
{
	const char *text = rendered(render_event, json, CTL_EXIT_OK);

	cr_expect_str_eq(text, expected, "shown: %s", text);
}

#define BEGIN "{\"time\":\"T\",\"event\":\"sa-bound\","
#define LINE  "T sa       bound       "

Test(latchctl_monitor, latch_broken_prints_flow_reasons_and_both_peers)
{
	expect_line(
		"{\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"latch-broken\","
		"\"proto\":\"tcp\",\"direction\":\"out\","
		"\"local\":{\"addr\":\"10.9.0.1\",\"port\":40000},"
		"\"remote\":{\"addr\":\"10.9.0.2\",\"port\":443},"
		"\"reasons\":[\"sa-conflict\",\"peer-dead\"],"
		"\"expected\":{\"id\":\"c.example\",\"auth\":\"pubkey\"},"
		"\"actual\":{\"id\":\"d.example\",\"auth\":\"pubkey\"},\"id\":\"7\",\"drops\":3}",
		"2026-01-02T03:04:05.678Z latch    broken       tcp 10.9.0.1:40000->10.9.0.2:443"
		" reasons=sa-conflict,peer-dead expected=c.example expected.auth=pubkey actual=d.example"
		" actual.auth=pubkey id=7 drops=3\n");
}

Test(latchctl_monitor, an_event_without_flow_prints_proto_as_a_member)
{
	expect_line(BEGIN "\"spi\":\"0x00001001\",\"proto\":\"esp\"}",
		    LINE " spi=0x00001001 proto=esp\n");
}

Test(latchctl_monitor, the_arrow_shows_the_direction)
{
	expect_line(BEGIN "\"direction\":\"in\",\"remote\":{\"addr\":\"fd00::2\",\"port\":1}}",
		    LINE " ? -<-[fd00::2]:1\n");
	expect_line(BEGIN "\"local\":{\"addr\":\"10.9.0.1\",\"port\":1}}",
		    LINE " ? 10.9.0.1:1<->-\n");
}

Test(latchctl_monitor, members_may_be_missing_or_of_any_type)
{
	expect_line("{}", "- ?        -           \n");
	expect_line("{\"event\":\"\"}", "- ?        -           \n");
	expect_line("{\"event\":\"drop\"}", "- drop     -           \n");
	expect_line(BEGIN
		    "\"a\":null,\"b\":true,\"c\":1.5,\"d\":[],\"e\":{},\"f\":[1,null],\"g\":-2}",
		    LINE " b=true c=1.5 f=\"1,?\" g=-2\n");
	expect_line(BEGIN "\"expected\":\"plain\",\"actual\":[\"a\",\"b\"],\"reason\":null}",
		    LINE " expected=plain actual=a,b\n");
}

Test(latchctl_monitor, event_names_are_cut_and_escaped)
{
	const char *text = rendered(
		render_event,
		"{\"time\":\"T\",\"event\":\"a-very-long-name-of-an-event-that-is-unknown\"}",
		CTL_EXIT_OK);

	cr_expect_str_eq(text, "T a        very-long-name-\n");
	text = rendered(render_event, "{\"time\":\"T\",\"event\":\"sa\\n-x\\u001b[2J\"}",
			CTL_EXIT_OK);
	cr_expect_str_eq(text, "T sa\\x0a   x\\x1b[2J    \n");
}

static const struct {
	const char *json, *shown;
} quoted[] = {
	{"c.example", "c.example"},
	{"10.9.0.1", "10.9.0.1"},
	{"user+tag/a_b-c,d[1]:2", "user+tag/a_b-c,d[1]:2"},
	{"", "\"\""},
	{"C=XX, CN=c", "\"C=XX, CN=c\""},
	{"c actual=d.example", "\"c actual=d.example\""},
	{"c=d", "\"c=d\""},
	{"user@c", "\"user@c\""},
	{"c\\\" actual=\\\"d", "\"c\\\" actual=\\\"d\""},
	{"c\\\\", "\"c\\\\\""},
	{"\\\\\\\" actual=d", "\"\\\\\\\" actual=d\""},
	{"c\\nT sa bound", "\"c\\x0aT sa bound\""},
	{"c\\u001b[2J", "\"c\\x1b[2J\""},
	{"c\\u202ed", "\"c\\xe2\\x80\\xaed\""},
	{"c\\u00a0d", "\"c\\xc2\\xa0d\""},
	{"\\u00e9", "\"\xc3\xa9\""},
	{"'", "\"'\""},
	{"$(id)", "\"$(id)\""},
};

Test(latchctl_monitor, identities_with_other_than_bare_characters_are_quoted)
{
	char json[256], expected[256];
	size_t i;

	for (i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++) {
		snprintf(json, sizeof(json),
			 BEGIN "\"actual\":{\"id\":\"%s\",\"auth\":\"psk\"},\"z\":1}",
			 quoted[i].json);
		snprintf(expected, sizeof(expected), LINE " actual=%s actual.auth=psk z=1\n",
			 quoted[i].shown);
		expect_line(json, expected);
	}
}

Test(latchctl_monitor, times_endpoints_and_keys_are_escaped)
{
	const char *text =
		rendered(render_event,
			 "{\"time\":\"T\\nX\",\"event\":\"drop\",\"proto\":\"t\\u001bp\","
			 "\"local\":{\"addr\":\"1\\n2\",\"port\":\"3\\u009b\"},\"k\\ney\":\"v\","
			 "\"o\":{\"m\\u001b\":\"v\"}}",
			 CTL_EXIT_OK);

	cr_expect_str_eq(text, "T\\x0aX drop     -            t\\x1bp 1\\x0a2:3\\xc2\\x9b<->-"
			       " k\\x0aey=v o.m\\x1b=v\n");
}

Test(latchctl_monitor, the_expected_and_the_actual_peer_are_coloured)
{
	const char *text;

	options.colour = true;
	text = rendered(
		render_event,
		"{\"time\":\"T\",\"event\":\"latch-broken\",\"expected\":\"c\",\"actual\":\"d\"}",
		CTL_EXIT_OK);
	cr_expect_str_eq(text, "T latch    \033[1;31mbroken      \033[0m\033[32m expected=c\033[0m"
			       "\033[1;31m actual=d\033[0m\n");
}
