/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Labelled text that is wrapped to the width of the terminal. Only the first line has a label, so
 * text chosen by others cannot look like another row.
 */
#ifndef LATCHCTL_PARAGRAPH_H
#define LATCHCTL_PARAGRAPH_H

#include <stdbool.h>
#include <stdio.h>

#include "latchctl/style.h"

#define PARAGRAPH_INDENT 11

/* text is raw, label is not empty; width 0: no limit. Nothing for an empty text. */
void paragraph_print(FILE *out, unsigned int width, const char *label, const char *text,
		     enum style style, bool colour);

#endif
