/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes a configuration file into the scratch directory and loads it. */
#ifndef LATCHD_TESTS_CONFIG_FILE_H
#define LATCHD_TESTS_CONFIG_FILE_H

#include "scratch.h"

#include <errno.h>

#include "latchd/config/config_load.h"

#define A10 "aaaaaaaaaa"

static struct config config;
static struct failure failure;

static inline int load(const char *text)
{
	return config_load(scratch_write("conf", text, strlen(text)), 1, &config, &failure);
}

struct refused {
	const char *text;
	unsigned int line;
	const char *fault; /* a part of the failure */
};

/* The failure is one line that names file, line, fault and what was expected. */
static inline void expect_refused(const struct refused *row)
{
	char prefix[300];

	cr_expect_eq(load(row->text), -EINVAL, "accepted: %s", row->text);
	snprintf(prefix, sizeof(prefix), "%s:%u: ", scratch_path("conf"), row->line);
	cr_expect_eq(strncmp(failure.text, prefix, strlen(prefix)), 0, "%s does not begin %s",
		     failure.text, prefix);
	cr_expect_not_null(strstr(failure.text, row->fault), "%s does not say: %s", failure.text,
			   row->fault);
	cr_expect_not_null(strstr(failure.text, "expected"), "%s", failure.text);
	cr_expect_null(strchr(failure.text, '\n'));
}

#endif
