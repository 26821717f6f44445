/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/trace.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"

#define LIMIT_MS 10000
#define CHECK_MS 1

static char **lines;
static size_t line_count;

void trace_add(const char *format, ...)
{
	va_list args;
	char *line;

	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		abort();
	va_end(args);
	lines = realloc(lines, (line_count + 1) * sizeof(*lines));
	if (!lines)
		abort();
	lines[line_count++] = line;
}

void trace_clear(void)
{
	while (line_count)
		free(lines[--line_count]);
	free(lines);
	lines = NULL;
}

int trace_find(const char *prefix, int from)
{
	size_t i;

	for (i = from < 0 ? line_count : (size_t)from; i < line_count; i++)
		if (!strncmp(lines[i], prefix, strlen(prefix)))
			return (int)i;
	return -1;
}

size_t trace_count(const char *prefix)
{
	size_t count = 0;
	int at = -1;

	while ((at = trace_find(prefix, at + 1)) >= 0)
		count++;
	return count;
}

const char *trace_line(int index)
{
	return index >= 0 && (size_t)index < line_count ? lines[index] : "(none)";
}

void trace_print(void)
{
	size_t i;

	for (i = 0; i < line_count; i++)
		fprintf(stderr, "trace %3zu: %s\n", i, lines[i]);
}

struct until {
	struct loop *loop;
	struct loop_timer timer;
	int (*condition)(void *context);
	void *context;
	uint64_t limit_ms;
	bool met;
};

static void check(void *context)
{
	struct until *until = context;

	until->met = until->condition(until->context);
	if (until->met || loop_now_ms() >= until->limit_ms)
		loop_stop(until->loop);
	else
		loop_timer_arm(&until->timer, CHECK_MS);
}

int loop_until(struct loop *loop, int (*condition)(void *context), void *context)
{
	struct until until = {
		.loop = loop,
		.condition = condition,
		.context = context,
		.limit_ms = loop_now_ms() + LIMIT_MS,
	};

	loop_timer_init(loop, &until.timer, check, &until);
	loop_timer_arm(&until.timer, 0);
	loop_run(loop);
	loop_timer_cancel(&until.timer);
	if (!until.met)
		trace_print();
	return until.met;
}

struct traced {
	const char *prefix;
	size_t count;
};

static int is_traced(void *context)
{
	const struct traced *traced = context;

	return trace_count(traced->prefix) >= traced->count;
}

int loop_until_traced(struct loop *loop, const char *prefix, size_t count)
{
	struct traced traced = {prefix, count};

	return loop_until(loop, is_traced, &traced);
}
