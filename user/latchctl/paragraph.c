/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/paragraph.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/cleanup.h"
#include "common/text.h"

#define COLUMNS_MIN 20 /* of text, on a terminal that is too narrow */

/* Terminal columns of the character at text, and its bytes. The text is escaped. */
static unsigned int character(const char *text, size_t *ret_bytes)
{
	uint32_t code = 0;
	size_t taken = text_utf8_next(text, strlen(text), &code);
	int width = wcwidth((wchar_t)code);

	*ret_bytes = taken ? taken : 1;
	return width < 0 ? 1 : (unsigned int)width;
}

/* Bytes of text for a line: up to the last blank that fits, or a part of a long word. */
static size_t line_length(const char *text, unsigned int columns)
{
	size_t at = 0, blank = 0, bytes;
	unsigned int used = 0, one;

	while (text[at]) {
		one = character(text + at, &bytes);
		if (used + one > columns)
			return text[at] == ' ' || !blank ? at : blank;
		if (text[at] == ' ')
			blank = at;
		used += one;
		at += bytes;
	}
	return at;
}

static void print_lines(FILE *out, const char *text, unsigned int columns, const char *begin,
			const char *end)
{
	size_t length = columns ? line_length(text, columns) : strlen(text);

	for (;;) {
		fprintf(out, "%s%.*s%s\n", begin, (int)length, text, end);
		text += length;
		text += *text == ' ';
		if (!*text)
			return;
		fprintf(out, "%*s", PARAGRAPH_INDENT, "");
		length = line_length(text, columns);
	}
}

void paragraph_print(FILE *out, unsigned int width, const char *label, const char *text,
		     enum style style, bool colour)
{
	auto_free char *safe = text_escape_field(text);
	unsigned int columns = 0;

	if (!safe || !text[0])
		return;
	if (width)
		columns = width > PARAGRAPH_INDENT + COLUMNS_MIN ? width - PARAGRAPH_INDENT
								 : COLUMNS_MIN;
	fprintf(out, "%s%-*s%s", style_begin(STYLE_TITLE, colour), PARAGRAPH_INDENT, label,
		style_end(STYLE_TITLE, colour));
	print_lines(out, safe, columns, style_begin(style, colour), style_end(style, colour));
}
