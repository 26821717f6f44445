/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads members of latchd's JSON documents, any of which may be missing, and formats them. */
#ifndef LATCHCTL_VIEW_H
#define LATCHCTL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;

#define VIEW_ENDPOINT_MAX 96

/* The member at path, such as "peer.id"; NULL if absent or null. */
struct json_object *view_member(struct json_object *object, const char *path);

/* The text of a member (a number as digits), NULL if absent. Owned by the object. Not escaped. */
const char *view_text(struct json_object *object, const char *path);
const char *view_text_or(struct json_object *object, const char *path, const char *fallback);

/* 0 if absent or not an integer. */
int64_t view_number(struct json_object *object, const char *path);
/* False unless the member is the boolean true: a text "off" must not count as enforcement. */
bool view_bool(struct json_object *object, const char *path);

/* Number of elements; 0 if the member is not an array. */
size_t view_count(struct json_object *object, const char *path);
struct json_object *view_element(struct json_object *object, const char *path, size_t index);

/* "10.1.0.4:443" or "[fd00::1]:443" from {"addr","port"}. */
void view_endpoint(char out[VIEW_ENDPOINT_MAX], struct json_object *object, const char *path);

/* The name of the network namespace, or its cookie if it has none. */
const char *view_netns(struct json_object *object);

/* The texts of an array, joined by commas and cut to size; fallback if there are none. */
void view_joined(char *out, size_t size, struct json_object *object, const char *path,
		 const char *fallback);

/* "3d4h", "2h13m", "12s". */
void view_duration(char *out, size_t size, int64_t seconds);
/* Time since an RFC 3339 time in UTC; the text itself if it is not such a time. */
void view_age(char *out, size_t size, const char *time);

/* Prints text, escaped for a terminal. */
void view_print(FILE *out, const char *text);

#endif
