/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/failure.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/text.h"

int failure_set(const struct failure *failure, int err, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(failure->text, failure->size, text);
	return err;
}
