/* SPDX-License-Identifier: BSD-2-Clause */
/* Access to members of JSON documents and their text forms: view_*() on documents of the test. */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "latchctl/view.h"

static struct json_object *document;

static void parse(const char *json)
{
	json_object_put(document);
	document = json_tokener_parse(json);
	cr_assert_not_null(document, "%s", json);
}

Test(latchctl_view, a_path_finds_members_of_nested_objects_only)
{
	parse("{\"peer\":{\"id\":\"c\",\"auth\":{\"class\":\"psk\"}},\"none\":null,\"a.b\":1,"
	      "\"list\":[{\"id\":\"x\"}],\"\":\"empty\"}");
	cr_expect_str_eq(view_text(document, "peer.id"), "c");
	cr_expect_str_eq(view_text(document, "peer.auth.class"), "psk");
	cr_expect_null(view_member(document, "peer.id.more"));
	cr_expect_null(view_member(document, "peer."));
	cr_expect_null(view_member(document, "absent.id"));
	cr_expect_null(view_member(document, "none"));
	cr_expect_null(view_member(document, "none.id"));
	cr_expect_null(view_member(document, "a.b"));
	cr_expect_null(view_member(document, "list.id"));
	cr_expect_str_eq(view_text(document, ""), "empty");
	cr_expect_null(view_member(NULL, "peer"));
	cr_expect_null(view_member(document, "a-name-that-is-longer-than-any-member-of-the-daemons-"
					     "documents-will-ever-be"));
}

Test(latchctl_view, a_missing_or_empty_text_gives_the_fallback)
{
	parse("{\"text\":\"t\",\"empty\":\"\",\"number\":7,\"object\":{\"a\":1}}");
	cr_expect_str_eq(view_text_or(document, "text", "-"), "t");
	cr_expect_str_eq(view_text_or(document, "empty", "-"), "-");
	cr_expect_str_eq(view_text_or(document, "absent", "-"), "-");
	cr_expect_str_eq(view_text_or(document, "number", "-"), "7");
	cr_expect_str_eq(view_text_or(NULL, "text", "-"), "-");
	cr_expect_not_null(strstr(view_text_or(document, "object", "-"), "\"a\""));
}

Test(latchctl_view, a_member_that_is_not_an_integer_gives_0)
{
	parse("{\"n\":-3,\"big\":9223372036854775807,\"text\":\"12\",\"t\":true,\"d\":1.5,\"o\":{}}");
	cr_expect_eq(view_number(document, "n"), -3);
	cr_expect_eq(view_number(document, "big"), INT64_MAX);
	cr_expect_eq(view_number(document, "text"), 0);
	cr_expect_eq(view_number(document, "t"), 0);
	cr_expect_eq(view_number(document, "d"), 0);
	cr_expect_eq(view_number(document, "o"), 0);
	cr_expect_eq(view_number(document, "absent"), 0);
}

Test(latchctl_view, only_the_boolean_true_is_true)
{
	parse("{\"yes\":true,\"no\":false,\"text\":\"off\",\"n\":1,\"o\":{\"a\":1},\"l\":[1]}");
	cr_expect(view_bool(document, "yes"));
	cr_expect_not(view_bool(document, "no"));
	cr_expect_not(view_bool(document, "text"));
	cr_expect_not(view_bool(document, "n"));
	cr_expect_not(view_bool(document, "o"));
	cr_expect_not(view_bool(document, "l"));
	cr_expect_not(view_bool(document, "absent"));
}

Test(latchctl_view, count_and_element_accept_arrays_only)
{
	parse("{\"l\":[1,2,null],\"o\":{},\"t\":\"text\",\"e\":[]}");
	cr_expect_eq(view_count(document, "l"), 3);
	cr_expect_eq(json_object_get_int(view_element(document, "l", 1)), 2);
	cr_expect_null(view_element(document, "l", 2));
	cr_expect_null(view_element(document, "l", 3));
	cr_expect_eq(view_count(document, "o"), 0);
	cr_expect_eq(view_count(document, "t"), 0);
	cr_expect_eq(view_count(document, "e"), 0);
	cr_expect_eq(view_count(document, "absent"), 0);
}

static void expect_endpoint(const char *json, const char *expected)
{
	char text[VIEW_ENDPOINT_MAX];

	parse(json);
	view_endpoint(text, document, "e");
	cr_expect_str_eq(text, expected);
}

Test(latchctl_view, an_endpoint_brackets_ipv6_and_cuts_long_texts)
{
	char json[512], long_address[301];

	expect_endpoint("{\"e\":{\"addr\":\"10.1.0.4\",\"port\":443}}", "10.1.0.4:443");
	expect_endpoint("{\"e\":{\"addr\":\"fd00::1\",\"port\":443}}", "[fd00::1]:443");
	expect_endpoint("{\"e\":{\"addr\":\"10.1.0.4\"}}", "10.1.0.4:-");
	expect_endpoint("{\"e\":{\"port\":1}}", "-:1");
	expect_endpoint("{\"e\":{}}", "-:-");
	expect_endpoint("{\"e\":\"text\"}", "-:-");
	expect_endpoint("{}", "-");
	memset(long_address, 'a', 300);
	long_address[300] = '\0';
	snprintf(json, sizeof(json), "{\"e\":{\"addr\":\"%s\",\"port\":\"12345678901234\"}}",
		 long_address);
	long_address[70] = '\0';
	strcat(long_address, ":1234567890");
	expect_endpoint(json, long_address);
}

Test(latchctl_view, a_joined_list_is_cut_to_the_size_of_its_buffer)
{
	char out[10], guarded[16];

	parse("{\"l\":[\"ab\",\"cd\",7,null],\"e\":[],\"long\":[\"0123456789abcdef\",\"x\"]}");
	view_joined(guarded, sizeof(guarded), document, "l", "-");
	cr_expect_str_eq(guarded, "ab,cd,7,?");
	view_joined(out, sizeof(out), document, "e", "-");
	cr_expect_str_eq(out, "-");
	view_joined(out, sizeof(out), document, "absent", "none");
	cr_expect_str_eq(out, "none");
	memset(guarded, 'G', sizeof(guarded));
	view_joined(guarded, 10, document, "long", "-");
	cr_expect_str_eq(guarded, "012345678");
	cr_expect_eq(guarded[10], 'G');
}

static void expect_duration(int64_t seconds, const char *expected)
{
	char text[32];

	view_duration(text, sizeof(text), seconds);
	cr_expect_str_eq(text, expected);
}

Test(latchctl_view, a_duration_is_printed_in_at_most_two_units)
{
	expect_duration(-5, "0s");
	expect_duration(59, "59s");
	expect_duration(60, "1m0s");
	expect_duration(3599, "59m59s");
	expect_duration(3600, "1h0m");
	expect_duration(86399, "23h59m");
	expect_duration(86400, "1d0h");
	expect_duration(3 * 86400 + 4 * 3600 + 59, "3d4h");
	expect_duration(INT64_MAX, "106751991167300d15h");
}

Test(latchctl_view, an_age_is_the_time_since_an_rfc3339_time_in_utc)
{
	char age[64], time_text[64];
	time_t then = time(NULL) - 7200 - 30;
	struct tm utc;

	setenv("TZ", "Asia/Tokyo", 1);
	gmtime_r(&then, &utc);
	strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S.123Z", &utc);
	view_age(age, sizeof(age), time_text);
	cr_expect_str_eq(age, "2h0m");
	view_age(age, sizeof(age), "2999-01-01T00:00:00Z");
	cr_expect_str_eq(age, "0s");
	view_age(age, sizeof(age), "-");
	cr_expect_str_eq(age, "-");
	view_age(age, sizeof(age), "2024-01-01T00:00:00+09:00");
	cr_expect_str_eq(age, "2024-01-01T00:00:00+09:00");
}

Test(latchctl_view, printed_text_is_escaped)
{
	size_t length;
	char *text;
	FILE *out = open_memstream(&text, &length);

	view_print(out, "a\033[2J\n\xc3\xa9\xff\xc2\xa0z");
	fclose(out);
	cr_expect_str_eq(text, "a\\x1b[2J\\x0a\xc3\xa9\\xff\\xc2\\xa0z");
	free(text);
}
