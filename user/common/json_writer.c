/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/json_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

#define JSON_FIRST_CAPACITY 256

void json_init(struct json_writer *w)
{
	memset(w, 0, sizeof(*w));
}

void json_release(struct json_writer *w)
{
	free(w->text);
	json_init(w);
}

static void json_fail(struct json_writer *w, int error)
{
	if (!w->error)
		w->error = error;
}

/* Room for more bytes and a NUL. */
static bool json_reserve(struct json_writer *w, size_t more)
{
	size_t capacity = w->capacity ? w->capacity : JSON_FIRST_CAPACITY;
	char *text;

	if (w->error)
		return false;
	while (capacity < w->length + more + 1)
		capacity *= 2;
	if (capacity == w->capacity)
		return true;
	text = realloc(w->text, capacity);
	if (!text) {
		json_fail(w, -ENOMEM);
		return false;
	}
	w->text = text;
	w->capacity = capacity;
	return true;
}

static void json_append(struct json_writer *w, const char *bytes, size_t length)
{
	if (!json_reserve(w, length))
		return;
	memcpy(w->text + w->length, bytes, length);
	w->length += length;
	w->text[w->length] = '\0';
}

static void json_append_text(struct json_writer *w, const char *text)
{
	json_append(w, text, strlen(text));
}

static void json_before_value(struct json_writer *w)
{
	if (!w->after_key && w->has_member[w->depth])
		json_append_text(w, ",");
	w->after_key = false;
	w->has_member[w->depth] = true;
}

static void json_begin(struct json_writer *w, const char *bracket)
{
	json_before_value(w);
	if (w->depth + 1 >= JSON_MAX_DEPTH) {
		json_fail(w, -E2BIG);
		return;
	}
	w->has_member[++w->depth] = false;
	json_append_text(w, bracket);
}

static void json_end(struct json_writer *w, const char *bracket)
{
	if (!w->depth || w->after_key) {
		json_fail(w, -EINVAL);
		return;
	}
	w->depth--;
	json_append_text(w, bracket);
}

void json_object_begin(struct json_writer *w)
{
	json_begin(w, "{");
}

void json_object_end(struct json_writer *w)
{
	json_end(w, "}");
}

void json_array_begin(struct json_writer *w)
{
	json_begin(w, "[");
}

void json_array_end(struct json_writer *w)
{
	json_end(w, "]");
}

static void json_append_unit(struct json_writer *w, uint16_t unit)
{
	char escape[8];

	if (unit == '"' || unit == '\\')
		snprintf(escape, sizeof(escape), "\\%c", unit);
	else
		snprintf(escape, sizeof(escape), "\\u%04x", unit);
	json_append_text(w, escape);
}

/* JSON counts in UTF-16 (RFC 8259 section 7). */
static void json_append_escaped(struct json_writer *w, uint32_t code)
{
	if (code > 0xffff) {
		json_append_unit(w, (uint16_t)(0xd800 + ((code - 0x10000) >> 10)));
		code = 0xdc00 + (code & 0x3ff);
	}
	json_append_unit(w, (uint16_t)code);
}

/* A terminal that shows the document must not obey it: U+009B begins a control sequence. */
static bool json_is_plain(uint32_t code)
{
	return text_code_is_printable(code) && code != '"' && code != '\\';
}

static void json_quote(struct json_writer *w, const char *text)
{
	size_t left = strlen(text), taken;
	uint32_t code;

	json_append_text(w, "\"");
	while (left) {
		taken = text_utf8_next(text, left, &code);
		if (taken && json_is_plain(code))
			json_append(w, text, taken);
		else
			json_append_escaped(w, taken ? code : (uint8_t)*text);
		taken = taken ? taken : 1;
		text += taken;
		left -= taken;
	}
	json_append_text(w, "\"");
}

void json_key(struct json_writer *w, const char *key)
{
	json_before_value(w);
	json_quote(w, key);
	json_append_text(w, ":");
	w->after_key = true;
}

void json_string(struct json_writer *w, const char *text)
{
	json_before_value(w);
	json_quote(w, text);
}

void json_uint(struct json_writer *w, uint64_t value)
{
	char digits[24];

	json_before_value(w);
	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	json_append_text(w, digits);
}

void json_int(struct json_writer *w, int64_t value)
{
	char digits[24];

	json_before_value(w);
	snprintf(digits, sizeof(digits), "%" PRId64, value);
	json_append_text(w, digits);
}

void json_bool(struct json_writer *w, bool value)
{
	json_before_value(w);
	json_append_text(w, value ? "true" : "false");
}

void json_null(struct json_writer *w)
{
	json_before_value(w);
	json_append_text(w, "null");
}

void json_member_string(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	if (text)
		json_string(w, text);
	else
		json_null(w);
}

void json_member_uint(struct json_writer *w, const char *key, uint64_t value)
{
	json_key(w, key);
	json_uint(w, value);
}

void json_member_bool(struct json_writer *w, const char *key, bool value)
{
	json_key(w, key);
	json_bool(w, value);
}

void json_next_part(struct json_writer *w)
{
	w->length = 0;
}

int json_finish(struct json_writer *w)
{
	if (w->depth || w->after_key || !w->has_member[0])
		json_fail(w, -EINVAL);
	json_append_text(w, "\n");
	return w->error;
}
