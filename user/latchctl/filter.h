/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conditions on the rows of "latchctl list": pairs of words, FIELD VALUE, as in ss(8).
 * Conditions on one field are alternatives; conditions on different fields must all hold.
 */
#ifndef LATCHCTL_FILTER_H
#define LATCHCTL_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchctl/latchctl.h"

#define FILTER_CONDITIONS_MAX 32

struct filter_field;

struct filter_condition {
	const struct filter_field *field;
	const char *value; /* a word of the command line */
	/* Of an address. */
	int family;
	unsigned int prefix; /* bits */
	uint8_t address[16];
};

struct filter {
	struct filter_condition conditions[FILTER_CONDITIONS_MAX];
	size_t count;
};

/* Any code but CTL_EXIT_OK: the error is printed. The filter keeps the words. */
enum ctl_exit filter_parse(struct filter *filter, char *const *words, size_t count);

/* Tells of tags that are no set of the document, whose rows cannot match: no error, as of other
 * words of which there is none now. */
void filter_tell_unknown(const struct filter *filter, struct json_object *document);

/* latch: an element of the document's "latches". */
bool filter_matches(const struct filter *filter, struct json_object *latch);

#endif
