/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/message.h"

#include <errno.h>
#include <string.h>

void vici_parser_init(struct vici_parser *parser, struct vici_span message)
{
	*parser = (struct vici_parser){.at = message.at, .end = message.at};
	if (message.length)
		parser->end += message.length;
}

static size_t left(const struct vici_parser *parser)
{
	return (size_t)(parser->end - parser->at);
}

static int take_text(struct vici_parser *parser, size_t length, struct vici_text *text)
{
	if (length > left(parser))
		return -EBADMSG;
	*text = (struct vici_text){.at = (const char *)parser->at, .length = length};
	parser->at += length;
	return 0;
}

static int take_name(struct vici_parser *parser, struct vici_text *name)
{
	if (left(parser) < 1)
		return -EBADMSG;
	return take_text(parser, *parser->at++, name);
}

static int take_value(struct vici_parser *parser, struct vici_text *value)
{
	size_t length;

	if (left(parser) < 2)
		return -EBADMSG;
	length = (size_t)parser->at[0] << 8 | parser->at[1];
	parser->at += 2;
	return take_text(parser, length, value);
}

static int take_section_start(struct vici_parser *parser, struct vici_token *token)
{
	if (parser->in_list || parser->depth == VICI_DEPTH_MAX)
		return -EBADMSG;
	parser->depth++;
	return take_name(parser, &token->name);
}

static int take_section_end(struct vici_parser *parser)
{
	if (parser->in_list || !parser->depth)
		return -EBADMSG;
	parser->depth--;
	return 0;
}

static int take_pair(struct vici_parser *parser, struct vici_token *token)
{
	if (parser->in_list || take_name(parser, &token->name))
		return -EBADMSG;
	return take_value(parser, &token->value);
}

static int take_list_start(struct vici_parser *parser, struct vici_token *token)
{
	if (parser->in_list)
		return -EBADMSG;
	parser->in_list = true;
	return take_name(parser, &token->name);
}

static int take_list_end(struct vici_parser *parser)
{
	if (!parser->in_list)
		return -EBADMSG;
	parser->in_list = false;
	return 0;
}

static int take_element(struct vici_parser *parser, struct vici_token *token)
{
	switch (*parser->at++) {
	case VICI_SECTION_START:
		token->element = VICI_SECTION_START;
		return take_section_start(parser, token);
	case VICI_SECTION_END:
		token->element = VICI_SECTION_END;
		return take_section_end(parser);
	case VICI_KEY_VALUE:
		token->element = VICI_KEY_VALUE;
		return take_pair(parser, token);
	case VICI_LIST_START:
		token->element = VICI_LIST_START;
		return take_list_start(parser, token);
	case VICI_LIST_ITEM:
		token->element = VICI_LIST_ITEM;
		return parser->in_list ? take_value(parser, &token->value) : -EBADMSG;
	case VICI_LIST_END:
		token->element = VICI_LIST_END;
		return take_list_end(parser);
	}
	return -EBADMSG;
}

int vici_parser_next(struct vici_parser *parser, struct vici_token *token)
{
	memset(token, 0, sizeof(*token));
	if (!left(parser))
		return parser->depth || parser->in_list ? -EBADMSG : 0;
	return take_element(parser, token) ? -EBADMSG : 1;
}

int vici_message_check(struct vici_span message)
{
	struct vici_parser parser;
	struct vici_token token;
	int more;

	vici_parser_init(&parser, message);
	do {
		more = vici_parser_next(&parser, &token);
	} while (more > 0);
	return more;
}

/* The parser is behind a start element: parses to the matching end and returns the body between. */
static int take_body(struct vici_parser *parser, struct vici_span *body)
{
	const uint8_t *start = parser->at, *end = start;
	struct vici_token token;

	while (parser->depth || parser->in_list) {
		end = parser->at;
		if (vici_parser_next(parser, &token) <= 0)
			return -EBADMSG;
	}
	*body = (struct vici_span){.at = start, .length = (size_t)(end - start)};
	return 0;
}

int vici_member_next(struct vici_span *section, struct vici_member *member)
{
	struct vici_parser parser;
	struct vici_token token;
	int more;

	vici_parser_init(&parser, *section);
	more = vici_parser_next(&parser, &token);
	if (more <= 0)
		return more;
	*member = (struct vici_member){.name = token.name, .value = token.value};
	member->kind = token.element == VICI_SECTION_START ? VICI_MEMBER_SECTION
		       : token.element == VICI_LIST_START  ? VICI_MEMBER_LIST
							   : VICI_MEMBER_VALUE;
	if (member->kind != VICI_MEMBER_VALUE && take_body(&parser, &member->body))
		return -EBADMSG;
	*section = (struct vici_span){.at = parser.at, .length = left(&parser)};
	return 1;
}

int vici_item_next(struct vici_span *list, struct vici_text *item)
{
	struct vici_parser parser;
	struct vici_token token;

	if (!list->length)
		return 0;
	vici_parser_init(&parser, *list);
	parser.in_list = true;
	if (vici_parser_next(&parser, &token) <= 0 || token.element != VICI_LIST_ITEM)
		return -EBADMSG;
	*item = token.value;
	*list = (struct vici_span){.at = parser.at, .length = left(&parser)};
	return 1;
}

bool vici_find(struct vici_span section, const char *name, enum vici_kind kind,
	       struct vici_member *member)
{
	while (vici_member_next(&section, member) > 0)
		if (member->kind == kind && vici_text_is(member->name, name))
			return true;
	return false;
}

bool vici_text_is(struct vici_text text, const char *expected)
{
	return text.length == strlen(expected) &&
	       (!text.length || !memcmp(text.at, expected, text.length));
}

int vici_text_copy(struct vici_text text, char *out, size_t size)
{
	if (text.length >= size)
		return -EMSGSIZE;
	out[text.length] = '\0';
	if (!text.length)
		return 0;
	if (memchr(text.at, '\0', text.length))
		return -EINVAL;
	memcpy(out, text.at, text.length);
	return 0;
}

static unsigned int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return (unsigned int)(digit - '0');
	if (digit >= 'a' && digit <= 'f')
		return (unsigned int)(digit - 'a' + 10);
	if (digit >= 'A' && digit <= 'F')
		return (unsigned int)(digit - 'A' + 10);
	return UINT32_MAX;
}

int vici_text_number(struct vici_text text, unsigned int base, uint32_t *number)
{
	uint64_t value = 0;
	size_t i;

	if (!text.length)
		return -EINVAL;
	for (i = 0; i < text.length; i++) {
		unsigned int digit = digit_value(text.at[i]);

		if (digit >= base)
			return -EINVAL;
		value = value * base + digit;
		if (value > UINT32_MAX)
			return -EINVAL;
	}
	*number = (uint32_t)value;
	return 0;
}
