/* SPDX-License-Identifier: BSD-2-Clause */
/* Columns that fit a terminal: wide ones are cut, and if that is not enough, minor ones left out.
 */
#ifndef LATCHCTL_TABLE_H
#define LATCHCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "latchctl/style.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
	const char *title;
	unsigned int least; /* may be cut down to this many columns; 0 = never cut */
	unsigned int minor; /* the highest is left out first; 0 = never */
};

struct table_cell {
	char *text; /* escaped */
	unsigned int width;
	enum style style;
};

struct table {
	const struct table_column *columns;
	size_t column_count;
	struct table_cell *cells; /* row by row */
	size_t cell_count, cell_capacity;
	bool failed; /* out of memory */
};

void table_begin(struct table *table, const struct table_column *columns, size_t column_count);
void table_end(struct table *table);

/* The next cell, row by row. text is raw: it is escaped here, so that it cannot pass for several
 * cells. */
void table_add(struct table *table, enum style style, const char *text);

/* width 0 = as wide as it is. 0, or -ENOMEM when a cell could not be kept. */
int table_print(const struct table *table, FILE *out, unsigned int width, bool colour);

#endif
