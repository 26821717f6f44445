/* SPDX-License-Identifier: BSD-2-Clause */
/* Renders a JSON document of a test into memory. */
#ifndef LATCHD_TESTS_RENDERED_H
#define LATCHD_TESTS_RENDERED_H

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>

#include "latchctl/client.h"

static struct ctl_options options;

/* Renders json and expects that exit code. The text is never freed. */
static inline const char *rendered(ctl_render_fn render, const char *json, enum ctl_exit expected)
{
	struct json_object *document = json_tokener_parse(json);
	size_t length;
	char *text;
	FILE *out = open_memstream(&text, &length);

	cr_assert_not_null(document, "%s", json);
	cr_expect_eq(render(out, &options, document), expected);
	fclose(out);
	json_object_put(document);
	return text;
}

#endif
