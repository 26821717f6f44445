/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/vici_json.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX (2 * 1024 * 1024)

static void fail(const char *error, const char *text)
{
	fprintf(stderr, "vici fixtures: %s: %s\n", error, text);
	abort();
}

static void build_members(struct vici_builder *builder, struct json_object *object)
{
	size_t i;

	json_object_object_foreach(object, name, value)
	{
		if (json_object_is_type(value, json_type_object)) {
			vici_build_section(builder, name);
			build_members(builder, value);
			vici_build_section_end(builder);
		} else if (json_object_is_type(value, json_type_array)) {
			vici_build_list(builder, name);
			for (i = 0; i < json_object_array_length(value); i++)
				vici_build_item(builder,
						json_object_get_string(
							json_object_array_get_idx(value, i)));
			vici_build_list_end(builder);
		} else {
			vici_build_value(builder, name, json_object_get_string(value));
		}
	}
}

struct vici_span vici_from_json(const char *json)
{
	struct json_object *object = json_tokener_parse(json);
	uint8_t *memory = malloc(MESSAGE_MAX);
	struct vici_builder builder;

	if (!object || !memory || !json_object_is_type(object, json_type_object))
		fail("not a vici message", json);
	vici_builder_init(&builder, memory, MESSAGE_MAX);
	build_members(&builder, object);
	json_object_put(object);
	if (builder.error)
		fail("message too large", json);
	memory = realloc(memory, builder.length ? builder.length : 1);
	if (!memory)
		abort();
	return (struct vici_span){.at = memory, .length = builder.length};
}

void vici_fixture_open(struct vici_fixture *fixture, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "tests/unit/fixtures/vici/%s.events", name);
	*fixture = (struct vici_fixture){.file = fopen(path, "re")};
	if (!fixture->file)
		fail("cannot open (run from the top of the tree)", path);
}

int vici_fixture_next(struct vici_fixture *fixture)
{
	char *event, *json;

	if (getline(&fixture->line, &fixture->size, fixture->file) < 0)
		return 0;
	event = strchr(fixture->line, ' ');
	json = event ? strchr(event + 1, ' ') : NULL;
	if (!json)
		fail("no event", fixture->line);
	*event++ = '\0';
	*json++ = '\0';
	fixture->event = event;
	fixture->json = json;
	return 1;
}

void vici_fixture_close(struct vici_fixture *fixture)
{
	fclose(fixture->file);
	free(fixture->line);
}

const char *vici_fixture_event(const char *name, const char *event, unsigned int number)
{
	struct vici_fixture fixture;
	char *json = NULL;

	vici_fixture_open(&fixture, name);
	while (!json && vici_fixture_next(&fixture))
		if (!strcmp(fixture.event, event) && !number--)
			json = strdup(fixture.json);
	vici_fixture_close(&fixture);
	if (!json)
		fail("no such event", event);
	return json;
}
