/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a daemon's document that may lack anything, and showing what it says. */
#ifndef LATCHCTL_VIEW_H
#define LATCHCTL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;

#define VIEW_ENDPOINT_MAX 96

/* The member at path, "peer.id" within objects; NULL when absent or null. */
struct json_object *view_member(struct json_object *object, const char *path);

/* Its text, or a number's digits; NULL when absent. Lives as long as the object. Not escaped. */
const char *view_text(struct json_object *object, const char *path);
const char *view_text_or(struct json_object *object, const char *path, const char *otherwise);

/* 0 when absent or no whole number. */
int64_t view_number(struct json_object *object, const char *path);
/* Of anything but a true boolean, false: "off" is no sign of enforcement. */
bool view_bool(struct json_object *object, const char *path);

/* Elements of an array; 0 when it is none. */
size_t view_count(struct json_object *object, const char *path);
struct json_object *view_element(struct json_object *object, const char *path, size_t index);

/* "10.1.0.4:443" or "[fd00::1]:443" from {"addr","port"}. */
void view_endpoint(char out[VIEW_ENDPOINT_MAX], struct json_object *object, const char *path);

/* An array's texts with commas between; otherwise when it has none. What does not fit is left out.
 */
void view_joined(char *out, size_t size, struct json_object *object, const char *path,
		 const char *otherwise);

/* "3d4h", "2h13m", "12s". */
void view_duration(char *out, size_t size, int64_t seconds);
/* How long ago an RFC 3339 time in UTC was; the text itself when it is none. */
void view_age(char *out, size_t size, const char *time);

/* Prints it escaped for a terminal. */
void view_print(FILE *out, const char *text);

#endif
