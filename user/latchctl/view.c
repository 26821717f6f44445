/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/view.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/text.h"

#define VIEW_KEY_MAX 64

struct json_object *view_member(struct json_object *object, const char *path)
{
	char key[VIEW_KEY_MAX];
	size_t length;

	for (;;) {
		length = strcspn(path, ".");
		if (length >= sizeof(key) || !json_object_is_type(object, json_type_object))
			return NULL;
		memcpy(key, path, length);
		key[length] = '\0';
		object = json_object_object_get(object, key);
		if (!object || !path[length])
			return object;
		path += length + 1;
	}
}

const char *view_text(struct json_object *object, const char *path)
{
	struct json_object *member = view_member(object, path);

	return member ? json_object_get_string(member) : NULL;
}

const char *view_text_or(struct json_object *object, const char *path, const char *fallback)
{
	const char *text = view_text(object, path);

	return text && text[0] ? text : fallback;
}

int64_t view_number(struct json_object *object, const char *path)
{
	struct json_object *member = view_member(object, path);

	return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : 0;
}

bool view_bool(struct json_object *object, const char *path)
{
	struct json_object *member = view_member(object, path);

	return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

size_t view_count(struct json_object *object, const char *path)
{
	struct json_object *array = view_member(object, path);

	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

struct json_object *view_element(struct json_object *object, const char *path, size_t index)
{
	return json_object_array_get_idx(view_member(object, path), index);
}

void view_endpoint(char out[VIEW_ENDPOINT_MAX], struct json_object *object, const char *path)
{
	struct json_object *endpoint = view_member(object, path);
	const char *address = view_text_or(endpoint, "addr", "-");
	const char *port = view_text_or(endpoint, "port", "-");

	if (!endpoint)
		snprintf(out, VIEW_ENDPOINT_MAX, "-");
	else if (strchr(address, ':'))
		snprintf(out, VIEW_ENDPOINT_MAX, "[%.70s]:%.10s", address, port);
	else
		snprintf(out, VIEW_ENDPOINT_MAX, "%.70s:%.10s", address, port);
}

const char *view_netns(struct json_object *object)
{
	return view_text_or(object, "netns_name", view_text_or(object, "netns", "-"));
}

void view_joined(char *out, size_t size, struct json_object *object, const char *path,
		 const char *fallback)
{
	size_t count = view_count(object, path), used = 0, i;

	for (i = 0; i < count && used < size; i++) {
		const char *text = json_object_get_string(view_element(object, path, i));

		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "",
					 text ? text : "?");
	}
	if (!count)
		snprintf(out, size, "%s", fallback);
}

void view_duration(char *out, size_t size, int64_t seconds)
{
	if (seconds < 0)
		seconds = 0;
	if (seconds < 60)
		snprintf(out, size, "%ds", (int)seconds);
	else if (seconds < 3600)
		snprintf(out, size, "%dm%ds", (int)(seconds / 60), (int)(seconds % 60));
	else if (seconds < 86400)
		snprintf(out, size, "%dh%dm", (int)(seconds / 3600), (int)(seconds / 60 % 60));
	else
		snprintf(out, size, "%lldd%dh", (long long)(seconds / 86400),
			 (int)(seconds / 3600 % 24));
}

void view_age(char *out, size_t size, const char *time_text)
{
	struct tm utc = {0};
	const char *rest = strptime(time_text, "%Y-%m-%dT%H:%M:%S", &utc);

	if (rest && (*rest == '.' || *rest == 'Z'))
		view_duration(out, size, (int64_t)(time(NULL) - timegm(&utc)));
	else
		snprintf(out, size, "%s", time_text);
}

void view_print(FILE *out, const char *text)
{
	size_t size = strlen(text) * TEXT_ESCAPE_GROWTH + 1;
	auto_free char *safe = malloc(size);

	if (!safe)
		return;
	text_escape(safe, size, text);
	fputs(safe, out);
}
