/* SPDX-License-Identifier: BSD-2-Clause */
/* Compares written documents with their text, or parses them with json-c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* json-c has a type of the name of one of our functions. */
#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#include "common/json_writer.h"

static struct json_writer w;

static void finish(void)
{
	json_release(&w);
}

TestSuite(json_writer, .fini = finish);

Test(json_writer, a_document_has_commas_keys_and_all_types)
{
	json_init(&w);
	json_object_begin(&w);
	json_member_uint(&w, "schema", 1);
	json_key(&w, "list");
	json_array_begin(&w);
	json_object_begin(&w);
	json_object_end(&w);
	json_array_begin(&w);
	json_array_end(&w);
	json_string(&w, "x");
	json_int(&w, INT64_MIN);
	json_uint(&w, UINT64_MAX);
	json_bool(&w, true);
	json_null(&w);
	json_array_end(&w);
	json_member_bool(&w, "no", false);
	json_member_string(&w, "none", NULL);
	json_member_string(&w, "text", "t");
	json_object_end(&w);
	cr_assert_eq(json_finish(&w), 0);
	cr_expect_str_eq(w.text, "{\"schema\":1,\"list\":[{},[],\"x\",-9223372036854775808,"
				 "18446744073709551615,true,null],\"no\":false,\"none\":null,"
				 "\"text\":\"t\"}\n");
	cr_expect_eq(w.length, strlen(w.text));
}

static void expect_string(const char *text, const char *json)
{
	json_init(&w);
	json_string(&w, text);
	cr_expect_eq(json_finish(&w), 0);
	cr_expect_eq(strncmp(w.text, json, strlen(json)), 0, "%s is not %s", w.text, json);
	cr_expect_eq(w.length, strlen(json) + 1);
	json_release(&w);
}

Test(json_writer, text_from_outside_is_escaped)
{
	expect_string("\"\\/", "\"\\\"\\\\/\"");
	expect_string("\b\n\x1b\x7f", "\"\\u0008\\u000a\\u001b\\u007f\"");
	expect_string("\xc3\xbc\xe6\x97\xa5", "\"\xc3\xbc\xe6\x97\xa5\"");
	expect_string("\xff", "\"\\u00ff\"");
	expect_string("\xc3", "\"\\u00c3\"");
	expect_string("\xc3\"", "\"\\u00c3\\\"\"");
	expect_string("\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\"");
}

Test(json_writer, every_byte_gives_json_that_parses)
{
	struct json_object *parsed;
	char text[3];
	int a, b;

	for (a = 1; a < 256; a++) {
		for (b = 1; b < 256; b++) {
			text[0] = (char)a;
			text[1] = (char)b;
			text[2] = '\0';
			json_init(&w);
			json_object_begin(&w);
			json_member_string(&w, text, text);
			json_object_end(&w);
			cr_assert_eq(json_finish(&w), 0);
			parsed = json_tokener_parse(w.text);
			cr_assert_not_null(parsed, "%s", w.text);
			json_object_put(parsed);
			json_release(&w);
		}
	}
}

Test(json_writer, the_text_grows_as_needed)
{
	int i;

	json_init(&w);
	json_array_begin(&w);
	for (i = 0; i < 100000; i++)
		json_string(&w, "0123456789");
	json_array_end(&w);
	cr_assert_eq(json_finish(&w), 0);
	cr_expect_eq(w.length, 100000 * 13 - 1 + 3);
}

Test(json_writer, too_deep_nesting_is_an_error)
{
	int i;

	json_init(&w);
	for (i = 0; i < JSON_MAX_DEPTH - 1; i++)
		json_array_begin(&w);
	for (i = 0; i < JSON_MAX_DEPTH - 1; i++)
		json_array_end(&w);
	cr_expect_eq(json_finish(&w), 0);
	json_release(&w);

	for (i = 0; i < JSON_MAX_DEPTH; i++)
		json_array_begin(&w);
	for (i = 0; i < JSON_MAX_DEPTH; i++)
		json_array_end(&w);
	cr_expect_eq(json_finish(&w), -E2BIG);
}

Test(json_writer, an_unfinished_document_is_an_error)
{
	json_init(&w);
	cr_expect_eq(json_finish(&w), -EINVAL);
	json_release(&w);

	json_object_begin(&w);
	cr_expect_eq(json_finish(&w), -EINVAL);
	json_release(&w);

	json_object_begin(&w);
	json_key(&w, "k");
	json_object_end(&w);
	cr_expect_eq(json_finish(&w), -EINVAL);
	json_release(&w);

	json_null(&w);
	json_array_end(&w);
	cr_expect_eq(json_finish(&w), -EINVAL);
}

/* Text of a peer: --json may be shown by a terminal. */
Test(json_writer, unprintable_characters_are_escaped_and_mean_the_same)
{
	expect_string("a\xc2\x9b"
		      "31mb",
		      "\"a\\u009b31mb\"");
	expect_string("a\xe2\x80\xae"
		      "b",
		      "\"a\\u202eb\"");
	expect_string("\xf3\xa0\x80\x81", "\"\\udb40\\udc01\"");
	expect_string("\xc3\xa9 \xf0\x9f\x94\x92", "\"\xc3\xa9 \xf0\x9f\x94\x92\"");
}
