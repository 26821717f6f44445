/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages from the builder, malformed ones byte by byte, and one captured message. */
#include <criterion/criterion.h>
#include <errno.h>

#include "exact_copy.h"
#include "fake/vici_json.h"
#include "latchd/feeds/vici/message.h"

#define SPAN(text) ((struct vici_span){(const uint8_t *)(text), sizeof(text) - 1})
#define TEXT(text) ((struct vici_text){(text), sizeof(text) - 1})

static void expect_token(struct vici_parser *parser, enum vici_element element, const char *name,
			 const char *value)
{
	struct vici_token token;

	cr_assert_eq(vici_parser_next(parser, &token), 1);
	cr_expect_eq(token.element, element);
	cr_expect(vici_text_is(token.name, name), "%.*s for %s", (int)token.name.length,
		  token.name.at, name);
	cr_expect(vici_text_is(token.value, value), "%.*s for %s", (int)token.value.length,
		  token.value.at, value);
}

/* {"up":"yes","x509":{"id":"","ts":["a","bc"],"none":[],"child":{}}} */
static void build_sample(struct vici_builder *builder)
{
	vici_build_value(builder, "up", "yes");
	vici_build_section(builder, "x509");
	vici_build_value(builder, "id", "");
	vici_build_list(builder, "ts");
	vici_build_item(builder, "a");
	vici_build_item(builder, "bc");
	vici_build_list_end(builder);
	vici_build_list(builder, "none");
	vici_build_list_end(builder);
	vici_build_section(builder, "child");
	vici_build_section_end(builder);
	vici_build_section_end(builder);
}

Test(vici_message, a_built_message_is_parsed_to_the_same_tokens)
{
	struct vici_builder builder;
	struct vici_parser parser;
	struct vici_token token;
	uint8_t memory[128];

	vici_builder_init(&builder, memory, sizeof(memory));
	build_sample(&builder);
	cr_assert_eq(builder.error, 0);
	cr_expect_eq(vici_message_check(vici_builder_message(&builder)), 0);
	vici_parser_init(&parser, vici_builder_message(&builder));
	expect_token(&parser, VICI_KEY_VALUE, "up", "yes");
	expect_token(&parser, VICI_SECTION_START, "x509", "");
	expect_token(&parser, VICI_KEY_VALUE, "id", "");
	expect_token(&parser, VICI_LIST_START, "ts", "");
	expect_token(&parser, VICI_LIST_ITEM, "", "a");
	expect_token(&parser, VICI_LIST_ITEM, "", "bc");
	expect_token(&parser, VICI_LIST_END, "", "");
	expect_token(&parser, VICI_LIST_START, "none", "");
	expect_token(&parser, VICI_LIST_END, "", "");
	expect_token(&parser, VICI_SECTION_START, "child", "");
	expect_token(&parser, VICI_SECTION_END, "", "");
	expect_token(&parser, VICI_SECTION_END, "", "");
	cr_expect_eq(vici_parser_next(&parser, &token), 0);
}

Test(vici_message, a_built_message_has_charons_wire_format)
{
	static const char expected[] =
		"\x03\x02up\x00\x03yes\x01\x01s\x04\x01l\x05\x00\x01i\x06\x02";
	struct vici_builder builder;
	uint8_t memory[64];

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "up", "yes");
	vici_build_section(&builder, "s");
	vici_build_list(&builder, "l");
	vici_build_item(&builder, "i");
	vici_build_list_end(&builder);
	vici_build_section_end(&builder);
	cr_assert_eq(builder.length, sizeof(expected) - 1);
	cr_expect_arr_eq(memory, expected, sizeof(expected) - 1);
}

Test(vici_message, a_builder_never_writes_past_its_memory)
{
	struct vici_builder builder;
	uint8_t memory[129];
	size_t needed, size;

	vici_builder_init(&builder, memory, 128);
	build_sample(&builder);
	needed = builder.length;
	for (size = 0; size < needed; size++) {
		memset(memory, 0xa5, sizeof(memory));
		vici_builder_init(&builder, memory, size);
		build_sample(&builder);
		cr_expect_eq(builder.error, -EMSGSIZE, "in %zu bytes", size);
		cr_expect_eq(memory[size], 0xa5, "in %zu bytes", size);
	}
	vici_builder_init(&builder, memory, needed);
	build_sample(&builder);
	cr_expect_eq(builder.error, 0);
}

Test(vici_message, a_builder_refuses_names_and_values_that_are_too_long)
{
	static char longest[UINT16_MAX + 2];
	static uint8_t memory[3 * UINT16_MAX];
	struct vici_builder builder;

	memset(longest, 'a', sizeof(longest) - 1);
	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "v", longest + 1);
	vici_build_value(&builder, longest + sizeof(longest) - 1 - VICI_NAME_MAX, "");
	cr_expect_eq(builder.error, 0);
	cr_expect_eq(vici_message_check(vici_builder_message(&builder)), 0);
	vici_build_value(&builder, "v", longest);
	cr_expect_eq(builder.error, -EMSGSIZE);
	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_section(&builder, longest + sizeof(longest) - 2 - VICI_NAME_MAX);
	cr_expect_eq(builder.error, -EMSGSIZE);
}

static const struct vici_span malformed[] = {
	SPAN("\x00"),
	SPAN("\x07"),
	SPAN("\xff"),
	SPAN("\x01"),				/* section without a name */
	SPAN("\x01\x01"),			/* name truncated */
	SPAN("\x01\x01s"),			/* no end */
	SPAN("\x02"),				/* end without a start */
	SPAN("\x01\x01s\x02\x02"),		/* ended twice */
	SPAN("\x03\x01k"),			/* pair without a value */
	SPAN("\x03\x01k\x00"),			/* half a length */
	SPAN("\x03\x01k\x00\x01"),		/* value truncated */
	SPAN("\x03\x01k\xff\xffv"),		/* value past the end */
	SPAN("\x03\xffk\x00\x01v"),		/* name past the end */
	SPAN("\x04\x01l"),			/* list without an end */
	SPAN("\x05\x00\x01i"),			/* item outside of a list */
	SPAN("\x06"),				/* list end, no list */
	SPAN("\x04\x01l\x05\x00\x02i\x06"),	/* item swallows the end */
	SPAN("\x04\x01l\x04\x01m\x06\x06"),	/* list in a list */
	SPAN("\x04\x01l\x01\x01s\x02\x06"),	/* section in a list */
	SPAN("\x04\x01l\x03\x01k\x00\x00\x06"), /* pair in a list */
	SPAN("\x01\x01s\x04\x01l\x02\x06"),	/* section ended within a list */
	SPAN("\x01\x01s\x06\x02"),		/* list ended within a section */
	SPAN("\x03\x01k\x00\x00\x00"),		/* well-formed, then an unknown element */
};

Test(vici_message, malformed_messages_are_refused)
{
	size_t i;

	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct vici_span copy = exact_copy(malformed[i].at, malformed[i].length);

		cr_expect_eq(vici_message_check(copy), -EBADMSG, "row %zu", i);
		exact_free(copy);
	}
}

/* May the message end here? Only behind one of its direct members. */
static bool is_boundary(struct vici_span message, size_t at)
{
	struct vici_span rest = message;
	struct vici_member member;

	while (message.length - rest.length < at)
		cr_assert_eq(vici_member_next(&rest, &member), 1);
	return message.length - rest.length == at;
}

Test(vici_message, a_message_truncated_within_a_member_is_refused)
{
	struct vici_span message =
		vici_from_json(vici_fixture_event("attackD-tcp", "child-updown", 0));
	size_t length;

	cr_assert_eq(vici_message_check(message), 0);
	for (length = 0; length < message.length; length++) {
		struct vici_span copy = exact_copy(message.at, length);

		cr_expect_eq(vici_message_check(copy), is_boundary(message, length) ? 0 : -EBADMSG,
			     "truncated to %zu of %zu", length, message.length);
		exact_free(copy);
	}
}

static int check_depth(unsigned int depth)
{
	struct vici_builder builder;
	uint8_t memory[256];
	unsigned int i;

	vici_builder_init(&builder, memory, sizeof(memory));
	for (i = 0; i < depth; i++)
		vici_build_section(&builder, "s");
	for (i = 0; i < depth; i++)
		vici_build_section_end(&builder);
	cr_assert_eq(builder.error, 0);
	return vici_message_check(vici_builder_message(&builder));
}

Test(vici_message, sections_deeper_than_the_maximum_are_refused)
{
	cr_expect_eq(check_depth(VICI_DEPTH_MAX), 0);
	cr_expect_eq(check_depth(VICI_DEPTH_MAX + 1), -EBADMSG);
	cr_expect_eq(check_depth(60), -EBADMSG);
}

Test(vici_message, members_and_items_are_read_in_order)
{
	struct vici_span message = vici_from_json(
		"{\"a\":\"1\",\"s\":{\"t\":{\"x\":\"y\"},\"u\":[\"v\"]},\"l\":[\"i\",\"\",\"j\"],\"e\":{}}");
	struct vici_span section, list;
	struct vici_member member;
	struct vici_text item;

	cr_assert_eq(vici_member_next(&message, &member), 1);
	cr_expect(member.kind == VICI_MEMBER_VALUE && vici_text_is(member.value, "1"));
	cr_assert_eq(vici_member_next(&message, &member), 1);
	cr_expect(member.kind == VICI_MEMBER_SECTION && vici_text_is(member.name, "s"));
	section = member.body;
	cr_assert_eq(vici_member_next(&message, &member), 1);
	cr_expect(member.kind == VICI_MEMBER_LIST && vici_text_is(member.name, "l"));
	list = member.body;
	cr_assert_eq(vici_member_next(&message, &member), 1);
	cr_expect(member.kind == VICI_MEMBER_SECTION && !member.body.length && member.body.at);
	cr_expect_eq(vici_member_next(&message, &member), 0);

	cr_assert_eq(vici_member_next(&section, &member), 1);
	cr_expect(vici_find(member.body, "x", VICI_MEMBER_VALUE, &member));
	cr_assert_eq(vici_member_next(&section, &member), 1);
	cr_expect_eq(member.kind, VICI_MEMBER_LIST);
	cr_expect_eq(vici_member_next(&section, &member), 0);

	cr_assert_eq(vici_item_next(&list, &item), 1);
	cr_expect(vici_text_is(item, "i"));
	cr_assert_eq(vici_item_next(&list, &item), 1);
	cr_expect(vici_text_is(item, "") && item.at);
	cr_assert_eq(vici_item_next(&list, &item), 1);
	cr_expect(vici_text_is(item, "j"));
	cr_expect_eq(vici_item_next(&list, &item), 0);
}

Test(vici_message, a_malformed_body_is_an_error_and_not_an_end)
{
	struct vici_span section = SPAN("\x01\x01s\x03"), list = SPAN("\x05\x00\x01i\x06");
	struct vici_member member;
	struct vici_text item;

	cr_expect_eq(vici_member_next(&section, &member), -EBADMSG);
	cr_expect_not(vici_find(SPAN("\x02"), "s", VICI_MEMBER_SECTION, &member));
	cr_expect_eq(vici_item_next(&list, &item), 1);
	cr_expect_eq(vici_item_next(&list, &item), -EBADMSG);
}

Test(vici_message, vici_find_returns_the_first_member_of_the_name_and_kind)
{
	struct vici_span message = vici_from_json(
		"{\"up\":{},\"upper\":\"no\",\"up\":\"yes\",\"deep\":{\"only\":\"1\"}}");
	struct vici_span twice = SPAN("\x03\x01k\x00\x01"
				      "1"
				      "\x03\x01k\x00\x01"
				      "2");
	struct vici_member member;

	cr_assert(vici_find(message, "up", VICI_MEMBER_VALUE, &member));
	cr_expect(vici_text_is(member.value, "yes"));
	cr_expect_not(vici_find(message, "only", VICI_MEMBER_VALUE, &member));
	cr_expect_not(vici_find(message, "u", VICI_MEMBER_VALUE, &member));
	cr_expect_not(vici_find(message, "upper", VICI_MEMBER_LIST, &member));
	cr_assert(vici_find(twice, "k", VICI_MEMBER_VALUE, &member));
	cr_expect(vici_text_is(member.value, "1"));
}

Test(vici_message, a_text_is_copied_whole_or_refused)
{
	char out[4] = "old";

	cr_expect_eq(vici_text_copy(TEXT("abc"), out, sizeof(out)), 0);
	cr_expect_str_eq(out, "abc");
	cr_expect_eq(vici_text_copy(TEXT("abcd"), out, sizeof(out)), -EMSGSIZE);
	cr_expect_eq(vici_text_copy(TEXT("a\0b"), out, sizeof(out)), -EINVAL);
	cr_expect_eq(vici_text_copy((struct vici_text){0}, out, sizeof(out)), 0);
	cr_expect_str_eq(out, "");
}

Test(vici_message, a_text_comparison_includes_length_and_nul_bytes)
{
	cr_expect(vici_text_is(TEXT("up"), "up"));
	cr_expect_not(vici_text_is(TEXT("up"), "u"));
	cr_expect_not(vici_text_is(TEXT("u"), "up"));
	cr_expect_not(vici_text_is(TEXT("up\0"), "up"));
	cr_expect_not(vici_text_is(TEXT("\0up"), ""));
	cr_expect(vici_text_is((struct vici_text){0}, ""));
}

struct number {
	struct vici_text text;
	unsigned int base;
	int result;
	uint32_t value;
};

static const struct number numbers[] = {
	{TEXT("0"), 10, 0, 0},
	{TEXT("4294967295"), 10, 0, UINT32_MAX},
	{TEXT("0000000000000000000007"), 10, 0, 7},
	{TEXT("b6ce45ac"), 16, 0, 0xb6ce45ac},
	{TEXT("B6CE45AC"), 16, 0, 0xb6ce45ac},
	{TEXT("4294967296"), 10, -EINVAL, 0},
	{TEXT("100000000"), 16, -EINVAL, 0},
	{TEXT("18446744073709551616"), 10, -EINVAL, 0},
	{TEXT("99999999999999999999999999"), 10, -EINVAL, 0},
	{TEXT(""), 10, -EINVAL, 0},
	{TEXT("-1"), 10, -EINVAL, 0},
	{TEXT("+1"), 10, -EINVAL, 0},
	{TEXT(" 1"), 10, -EINVAL, 0},
	{TEXT("1 "), 10, -EINVAL, 0},
	{TEXT("1\0"), 10, -EINVAL, 0},
	{TEXT("a"), 10, -EINVAL, 0},
	{TEXT("0x1"), 16, -EINVAL, 0},
	{TEXT("g"), 16, -EINVAL, 0},
};

Test(vici_message, numbers_are_parsed_whole_or_refused)
{
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint32_t value = 0;

		cr_expect_eq(vici_text_number(numbers[i].text, numbers[i].base, &value),
			     numbers[i].result, "%s", numbers[i].text.at);
		cr_expect_eq(value, numbers[i].value, "%s", numbers[i].text.at);
	}
}
