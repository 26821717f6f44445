/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes text of other parties strictly, and escapes it for output. text_escape() leaves no
 * control sequences, text_quote() no end of the quotation, and text_escape_field() no second
 * column.
 */
#ifndef LATCHD_COMMON_TEXT_H
#define LATCHD_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* text_escape() writes at most so many bytes for one input byte. */
#define TEXT_ESCAPE_GROWTH 4

/*
 * Decodes the UTF-8 character at text, of which length bytes are readable. Returns the number of
 * its bytes, or 0 if they are not valid: overlong forms, surrogates and truncated sequences are
 * not. Never reads past a NUL.
 */
size_t text_utf8_next(const char *text, size_t length, uint32_t *ret_code);

/*
 * False for control characters, direction overrides, characters without width that hide or reorder
 * text, and all blanks but the space.
 */
bool text_code_is_printable(uint32_t code);

/*
 * Copies text to out with a NUL, every unprintable or invalid byte as \xNN. Stops before the first
 * character that does not fit in size. Returns the number of bytes written, without the NUL.
 */
size_t text_escape(char *out, size_t size, const char *text);

/*
 * Copies text to out in quotation marks, with a NUL. A backslash before quotation marks and
 * backslashes: the party that chose the text cannot end the quotation. What does not fit is cut;
 * size is 3 at least.
 */
const char *text_quote(char *out, size_t size, const char *text);

/*
 * True: the blank could look like the space between columns or lines. It is one of several, or at
 * either end.
 */
bool text_is_gap(const char *text, size_t at);

/* text_escape() and each such blank as \x20, in new memory. NULL: out of memory. */
char *text_escape_field(const char *text);

/* Like the kernel's strscpy(): the length, or -E2BIG if text was cut. size must not be 0. */
int text_copy(char *out, size_t size, const char *text);

/* Appends to the text in out. What does not fit in size is cut. */
void text_add(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
