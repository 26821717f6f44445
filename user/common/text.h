/* SPDX-License-Identifier: BSD-2-Clause */
/* Text chosen by others: decoding it strictly, and making it safe to show. */
#ifndef LATCHD_COMMON_TEXT_H
#define LATCHD_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that one input byte can grow to in text_escape(). */
#define TEXT_ESCAPE_GROWTH 4

/*
 * Decodes the character at text, of which length bytes are readable. The number
 * of bytes it takes, or 0 when they are not valid UTF-8 (overlong forms,
 * surrogates and truncated sequences included). Never looks past a NUL.
 */
size_t text_utf8_next(const char *text, size_t length, uint32_t *ret_code);

/* Shown as it is: no control, no direction override, nothing of no width that hides or reorders
 * text, no blank but the space. */
bool text_code_is_printable(uint32_t code);

/*
 * Copies text to out, NUL-terminated, every unprintable or invalid byte as \xNN.
 * What does not fit in size is left out whole, never cut within a character.
 * The number of bytes written, NUL not counted.
 */
size_t text_escape(char *out, size_t size, const char *text);

/* As strscpy: the length, or -E2BIG when text was cut to fit. size must not be 0. */
int text_copy(char *out, size_t size, const char *text);

#endif
