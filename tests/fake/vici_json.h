/* SPDX-License-Identifier: BSD-2-Clause */
/* vici messages from JSON: objects are sections, arrays lists, strings values. */
#ifndef LATCHD_TESTS_VICI_JSON_H
#define LATCHD_TESTS_VICI_JSON_H

#include <stdio.h>

#include "latchd/feeds/vici/message.h"

/* The message is in memory of its own and never freed. Aborts on JSON that is not a message. */
struct vici_span vici_from_json(const char *json);

/* Captured events, one per line: time, name of the event, message as JSON. */
struct vici_fixture {
	FILE *file;
	char *line;
	size_t size;
	const char *event, *json; /* of the current line */
};

/* name: a file in tests/unit/fixtures/vici, below the working directory. Aborts without the file.
 */
void vici_fixture_open(struct vici_fixture *fixture, const char *name);
/* 1, or 0 at the end. */
int vici_fixture_next(struct vici_fixture *fixture);
void vici_fixture_close(struct vici_fixture *fixture);

/* The JSON of the number-th event (from 0) of that name. Never freed. */
const char *vici_fixture_event(const char *name, const char *event, unsigned int number);

#endif
