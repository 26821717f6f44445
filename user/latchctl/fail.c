/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/latchctl.h"

#include <stdarg.h>

#include "common/text.h"

#define CTL_MESSAGE_MAX 1024

enum ctl_exit ctl_fail(enum ctl_exit code, const char *format, ...)
{
	char text[CTL_MESSAGE_MAX], safe[CTL_MESSAGE_MAX * TEXT_ESCAPE_GROWTH];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(safe, sizeof(safe), text);
	fprintf(stderr, "latchctl: %s\n", safe);
	return code;
}
