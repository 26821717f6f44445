/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/libbpf_log.h"

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"

#define LIBBPF_PREFIX "libbpf: "

/* libbpf's callback has no context. */
static char warning[256];

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

static void keep(const char *text)
{
	if (warning[0])
		return;
	if (starts_with(text, "prog '") || starts_with(text, "map '") ||
	    starts_with(text, "extern "))
		text_copy(warning, sizeof(warning), text);
}

static int print(enum libbpf_print_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[1024];
	char *text = line;

	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	if (starts_with(text, LIBBPF_PREFIX))
		text += strlen(LIBBPF_PREFIX);
	if (level == LIBBPF_WARN)
		keep(text);
	log_debug("libbpf", "%s", text);
	return 0;
}

void libbpf_log_begin(void)
{
	warning[0] = '\0';
	libbpf_set_print(print);
}

const char *libbpf_log_warning(void)
{
	return warning;
}
