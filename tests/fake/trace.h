/* SPDX-License-Identifier: BSD-2-Clause */
/* The events of a test in order, one line each, from all its parts. */
#ifndef LATCHD_TESTS_TRACE_H
#define LATCHD_TESTS_TRACE_H

#include <stddef.h>

struct loop;

/* The line is stored until trace_clear(). */
void trace_add(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace_clear(void);

/* The index of the first line at or behind FROM that starts with prefix, or -1. */
int trace_find(const char *prefix, int from);
size_t trace_count(const char *prefix);
const char *trace_line(int index);
void trace_print(void);

/* Runs the loop until the condition holds. After ten seconds it prints the trace; returns 0. */
int loop_until(struct loop *loop, int (*condition)(void *context), void *context);

/* Runs the loop until the trace has COUNT lines that start with prefix. */
int loop_until_traced(struct loop *loop, const char *prefix, size_t count);

#endif
