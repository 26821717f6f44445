/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vici messages: sections, key/value pairs and lists, read in place.
 *
 * No function allocates. Texts and spans point into the message and live as long
 * as the message. They are not NUL-terminated and may hold any byte.
 */
#ifndef LATCHD_FEEDS_VICI_MESSAGE_H
#define LATCHD_FEEDS_VICI_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICI_DEPTH_MAX 8
#define VICI_NAME_MAX  255

struct vici_span {
	const uint8_t *at;
	size_t length;
};

struct vici_text {
	const char *at;
	size_t length;
};

/* As on the wire. */
enum vici_element {
	VICI_SECTION_START = 1,
	VICI_SECTION_END = 2,
	VICI_KEY_VALUE = 3,
	VICI_LIST_START = 4,
	VICI_LIST_ITEM = 5,
	VICI_LIST_END = 6,
};

struct vici_token {
	enum vici_element element;
	struct vici_text name;	/* of a section, pair or list */
	struct vici_text value; /* of a pair or list item */
};

struct vici_parser {
	const uint8_t *at, *end;
	unsigned int depth;
	bool in_list;
};

void vici_parser_init(struct vici_parser *parser, struct vici_span message);

/*
 * 1 with the next token, 0 at a well-formed end, else -EBADMSG. The errors are: a
 * length past the end, an unknown element, sections deeper than VICI_DEPTH_MAX, a
 * list that holds more than items, an unbalanced end.
 */
int vici_parser_next(struct vici_parser *parser, struct vici_token *token);

/* 0 if the whole message is well-formed, else -EBADMSG. Call it before using any part. */
int vici_message_check(struct vici_span message);

enum vici_kind {
	VICI_MEMBER_SECTION,
	VICI_MEMBER_VALUE,
	VICI_MEMBER_LIST,
};

struct vici_member {
	enum vici_kind kind;
	struct vici_text name;
	struct vici_text value; /* VICI_MEMBER_VALUE */
	struct vici_span
		body; /* VICI_MEMBER_SECTION: read with vici_member_next; LIST: vici_item_next */
};

/* Takes the next direct member off the front of a section's body (or a message): 1, 0 at the end,
 * -EBADMSG. */
int vici_member_next(struct vici_span *section, struct vici_member *member);

/* Takes the next item off the front of a list's body: 1, 0 at the end, -EBADMSG. */
int vici_item_next(struct vici_span *list, struct vici_text *item);

/* The first member of that name and kind. */
bool vici_find(struct vici_span section, const char *name, enum vici_kind kind,
	       struct vici_member *member);

bool vici_text_is(struct vici_text text, const char *expected);

/* NUL-terminated copy. -EMSGSIZE if the text does not fit, -EINVAL if it holds a NUL: the text is
 * never shortened. */
int vici_text_copy(struct vici_text text, char *out, size_t size);

/* The whole text as an unsigned number without sign or blanks, base 10 or 16: 0 or -EINVAL. */
int vici_text_number(struct vici_text text, unsigned int base, uint32_t *number);

/* Writes a message to the caller's memory. error is -EMSGSIZE after a part did not fit. */
struct vici_builder {
	uint8_t *at;
	size_t size, length;
	int error;
};

void vici_builder_init(struct vici_builder *builder, void *memory, size_t size);
void vici_build_section(struct vici_builder *builder, const char *name);
void vici_build_section_end(struct vici_builder *builder);
void vici_build_value(struct vici_builder *builder, const char *name, const char *value);
void vici_build_list(struct vici_builder *builder, const char *name);
void vici_build_item(struct vici_builder *builder, const char *value);
void vici_build_list_end(struct vici_builder *builder);
struct vici_span vici_builder_message(const struct vici_builder *builder);

#endif
