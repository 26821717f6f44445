/* SPDX-License-Identifier: BSD-2-Clause */
/* Colours: what they mean, not which they are. */
#ifndef LATCHCTL_STYLE_H
#define LATCHCTL_STYLE_H

#include <stdbool.h>

enum style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_GOOD,
	STYLE_WARN,
	STYLE_BAD,
};

/* Escape sequences to begin and to end it; "" without colour. */
const char *style_begin(enum style style, bool colour);
const char *style_end(enum style style, bool colour);

#endif
