/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/style.h"

const char *style_begin(enum style style, bool colour)
{
	if (!colour)
		return "";
	switch (style) {
	case STYLE_PLAIN:
		return "";
	case STYLE_TITLE:
		return "\033[1m";
	case STYLE_GOOD:
		return "\033[32m";
	case STYLE_WARN:
		return "\033[33m";
	case STYLE_BAD:
		return "\033[1;31m";
	}
	return "";
}

const char *style_end(enum style style, bool colour)
{
	return colour && style != STYLE_PLAIN ? "\033[0m" : "";
}
