/* SPDX-License-Identifier: BSD-2-Clause */
/* Styles by meaning; style.c maps them to colours. */
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

/* Escape sequences that begin and end a style; "" without colour. */
const char *style_begin(enum style style, bool colour);
const char *style_end(enum style style, bool colour);

#endif
