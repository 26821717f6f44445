/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHD_COMMON_FAILURE_H
#define LATCHD_COMMON_FAILURE_H

#include <stddef.h>

/* Where a start leaves its one line: object, operation, cause; next step. */
struct failure {
	char *text;
	size_t size;
};

/* Fills the line, safe to print, and returns err. */
int failure_set(const struct failure *failure, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
