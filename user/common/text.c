/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct utf8_form {
	uint8_t mask, lead;  /* of the first byte */
	uint8_t extra;	     /* bytes that follow */
	uint32_t first_code; /* a smaller one would be an overlong form */
};

static const struct utf8_form utf8_forms[] = {
	{0x80, 0x00, 0, 0x0},
	{0xe0, 0xc0, 1, 0x80},
	{0xf0, 0xe0, 2, 0x800},
	{0xf8, 0xf0, 3, 0x10000},
};

static const struct utf8_form *utf8_form_of(uint8_t lead)
{
	size_t i;

	for (i = 0; i < sizeof(utf8_forms) / sizeof(utf8_forms[0]); i++)
		if ((lead & utf8_forms[i].mask) == utf8_forms[i].lead)
			return &utf8_forms[i];
	return NULL;
}

size_t text_utf8_next(const char *text, size_t length, uint32_t *ret_code)
{
	const struct utf8_form *form;
	const uint8_t *byte = (const uint8_t *)text;
	uint32_t code;
	size_t i;

	if (!length)
		return 0;
	form = utf8_form_of(byte[0]);
	if (!form || form->extra >= length)
		return 0;
	code = byte[0] & (uint8_t)~form->mask;
	for (i = 1; i <= form->extra; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte[i] & 0x3f);
	}
	if (code < form->first_code || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return form->extra + 1U;
}

struct code_range {
	uint32_t first, last;
};

static const struct code_range unprintable[] = {
	{0x0, 0x1f},	     /* C0 */
	{0x7f, 0x9f},	     /* DEL, and C1: U+009B is an escape sequence's start */
	{0xa0, 0xa0},	     /* blanks that are not the space, here and below */
	{0xad, 0xad},	     /* soft hyphen */
	{0x34f, 0x34f},	     /* grapheme joiner */
	{0x61c, 0x61c},	     /* Arabic letter mark */
	{0x115f, 0x1160},    /* Hangul fillers */
	{0x1680, 0x1680},    /* Ogham blank */
	{0x17b4, 0x17b5},    /* Khmer vowels without a shape */
	{0x180b, 0x180f},    /* Mongolian selectors and vowel separator */
	{0x2000, 0x200f},    /* blanks; no width; direction marks */
	{0x2028, 0x202f},    /* line separators, direction overrides, a blank */
	{0x205f, 0x206f},    /* a blank, invisible operators, direction isolates */
	{0x2800, 0x2800},    /* Braille blank */
	{0x3000, 0x3000},    /* ideographic blank */
	{0x3164, 0x3164},    /* Hangul filler */
	{0xd800, 0xf8ff},    /* surrogates, private use */
	{0xfe00, 0xfe0f},    /* variation selectors */
	{0xfeff, 0xfeff},    /* byte order mark */
	{0xffa0, 0xffa0},    /* Hangul filler */
	{0xfff0, 0xfffb},    /* specials */
	{0xfffe, 0xffff},    /* not characters */
	{0xe0000, 0x10ffff}, /* tags, private use */
};

bool text_code_is_printable(uint32_t code)
{
	size_t i;

	for (i = 0; i < sizeof(unprintable) / sizeof(unprintable[0]); i++)
		if (code >= unprintable[i].first && code <= unprintable[i].last)
			return false;
	return true;
}

size_t text_escape(char *out, size_t size, const char *text)
{
	size_t left = strlen(text), used = 0, taken, i;
	uint32_t code;

	while (left) {
		taken = text_utf8_next(text, left, &code);
		if (taken && text_code_is_printable(code)) {
			if (used + taken + 1 > size)
				break;
			memcpy(out + used, text, taken);
			used += taken;
		} else {
			taken = taken ? taken : 1;
			if (used + TEXT_ESCAPE_GROWTH * taken + 1 > size)
				break;
			for (i = 0; i < taken; i++)
				used += (size_t)sprintf(out + used, "\\x%02x", (uint8_t)text[i]);
		}
		text += taken;
		left -= taken;
	}
	if (size)
		out[used] = '\0';
	return used;
}

const char *text_quote(char *out, size_t size, const char *text)
{
	size_t used = 0, needed;

	out[used++] = '"';
	for (; *text; text++) {
		needed = *text == '"' || *text == '\\' ? 2 : 1;
		if (used + needed + 2 > size)
			break;
		if (needed == 2)
			out[used++] = '\\';
		out[used++] = *text;
	}
	out[used++] = '"';
	out[used] = '\0';
	return out;
}

bool text_is_gap(const char *text, size_t at)
{
	return text[at] == ' ' &&
	       (!at || text[at - 1] == ' ' || text[at + 1] == ' ' || !text[at + 1]);
}

char *text_escape_field(const char *text)
{
	size_t size = strlen(text) * TEXT_ESCAPE_GROWTH + 1, length = 0, i;
	auto_free char *escaped = malloc(size);
	char *field = malloc(size);

	if (!escaped || !field) {
		free(field);
		return NULL;
	}
	text_escape(escaped, size, text);
	for (i = 0; escaped[i]; i++) {
		if (text_is_gap(escaped, i))
			length += (size_t)sprintf(field + length, "\\x20");
		else
			field[length++] = escaped[i];
	}
	field[length] = '\0';
	return field;
}

int text_copy(char *out, size_t size, const char *text)
{
	size_t length = strnlen(text, size);
	int err = (int)length;

	if (length == size) {
		length = size - 1;
		err = -E2BIG;
	}
	memcpy(out, text, length);
	out[length] = '\0';
	return err;
}

void text_add(char *out, size_t size, const char *format, ...)
{
	size_t used = strnlen(out, size);
	va_list args;

	if (used == size)
		return;
	va_start(args, format);
	vsnprintf(out + used, size - used, format, args);
	va_end(args);
}
