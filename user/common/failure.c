/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/failure.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/text.h"

int failure_set(struct failure *failure, int err, const char *format, ...)
{
	char text[FAILURE_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(failure->text, sizeof(failure->text), text);
	return err;
}
