/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes JSON into a growing buffer, with commas and escapes. The result is always valid UTF-8
 * JSON: an invalid byte of a text becomes \u00NN, an unprintable character \uNNNN. The first error
 * sticks, so that one check is enough, at json_finish().
 */
#ifndef LATCHD_COMMON_JSON_WRITER_H
#define LATCHD_COMMON_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 16

struct json_writer {
	char *text;
	size_t length;
	size_t capacity;
	int error; /* 0 or the first negative errno */
	unsigned int depth;
	bool has_member[JSON_MAX_DEPTH];
	bool after_key;
};

void json_init(struct json_writer *w);
void json_release(struct json_writer *w);

void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);

void json_string(struct json_writer *w, const char *text);
void json_uint(struct json_writer *w, uint64_t value);
void json_int(struct json_writer *w, int64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);

/* Key and value in one call. A NULL text becomes null. */
void json_member_string(struct json_writer *w, const char *key, const char *text);
void json_member_uint(struct json_writer *w, const char *key, uint64_t value);
void json_member_bool(struct json_writer *w, const char *key, bool value);

/* Forgets the text, which the caller has taken. The document continues, or has an error. */
void json_next_part(struct json_writer *w);

/* Ends the document with a newline. 0, or the first error. The writer still owns the text. */
int json_finish(struct json_writer *w);

#endif
