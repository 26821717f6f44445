/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened in a test, in order, one line a happening, from all parties. */
#ifndef LATCHD_TESTS_TRACE_H
#define LATCHD_TESTS_TRACE_H

#include <stddef.h>

struct loop;

/* Lines are kept until the test's process ends. */
void trace_add(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace_clear(void);

/* Index of the first line from FROM on that starts with prefix, or -1. */
int trace_find(const char *prefix, int from);
size_t trace_count(const char *prefix);
const char *trace_line(int index);
void trace_print(void);

/*
 * Runs the loop until condition holds; false, after printing the trace, when
 * it does not within ten seconds.
 */
int loop_until(struct loop *loop, int (*condition)(void *context), void *context);

/* Until COUNT lines that start with prefix are there. */
int loop_until_traced(struct loop *loop, const char *prefix, size_t count);

#endif
