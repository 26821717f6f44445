/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/config/config_parser.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void config_fail(struct config_parser *parser, unsigned int line, const char *format, ...)
{
	char text[FAILURE_TEXT_MAX];
	va_list args;

	if (parser->failed_line)
		return;
	parser->failed_line = line;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	failure_set(parser->failure, -EINVAL, "%.512s:%u: %s", parser->path, line, text);
}

bool config_number(const char *value, unsigned long *ret_number, const char **ret_rest)
{
	char *end;

	if (!isdigit((unsigned char)value[0]))
		return false;
	errno = 0;
	*ret_number = strtoul(value, &end, 10);
	*ret_rest = end;
	return !errno;
}

bool config_is_name(const char *value, size_t size)
{
	size_t length = strlen(value);

	return length > 0 && length < size && value[0] != '-' &&
	       strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       length;
}

bool config_check_name(struct config_parser *parser, const char *kind, const char *name)
{
	if (config_is_name(name, CONFIG_NAME_MAX))
		return true;
	config_fail(parser, parser->line,
		    "bad name in [%s %s]; expected 1 to %d letters, digits, dots, dashes or "
		    "underscores",
		    kind, name, CONFIG_NAME_MAX - 1);
	return false;
}
