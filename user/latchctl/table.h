/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table that fits a terminal. First wide columns are cut in the
 * middle of their texts, then minor columns are left out, and at last even short columns are cut.
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
	unsigned int min_width; /* limit of cutting, in terminal columns; 0 = never cut */
	unsigned int minor;	/* the highest is left out first; 0 = never */
	/* Limit of cutting when no other means is left; 0 = never cut. */
	unsigned int last_width;
};

struct table_cell {
	char *text;	    /* escaped */
	unsigned int width; /* terminal columns */
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

/* Appends the next cell, row by row. text is raw: escaping here keeps a text from looking like
 * several cells. */
void table_add(struct table *table, enum style style, const char *text);

/* width in terminal columns, 0 = no limit. Returns 0, or -ENOMEM if a cell is missing. */
int table_print(const struct table *table, FILE *out, unsigned int width, bool colour);

#endif
