/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/table.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/text.h"

#define TABLE_GAP 2
#define TABLE_CUT "…"

void table_begin(struct table *table, const struct table_column *columns, size_t column_count)
{
	*table = (struct table){.columns = columns, .column_count = column_count};
}

void table_end(struct table *table)
{
	size_t i;

	for (i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
}

/* Terminal columns of the character at *text; advances *text. The text is escaped, so valid UTF-8.
 */
static unsigned int character_width(const char **text)
{
	uint32_t code = 0;
	size_t taken = text_utf8_next(*text, strlen(*text), &code);
	int width = wcwidth((wchar_t)code);

	*text += taken ? taken : 1;
	return width < 0 ? 1 : (unsigned int)width;
}

static unsigned int text_width(const char *text)
{
	unsigned int width = 0;

	while (*text)
		width += character_width(&text);
	return width;
}

void table_add(struct table *table, enum style style, const char *text)
{
	size_t capacity = table->cell_capacity ? table->cell_capacity * 2 : 64;
	struct table_cell *cell;

	if (table->cell_count == table->cell_capacity) {
		cell = realloc(table->cells, capacity * sizeof(*cell));
		if (!cell) {
			table->failed = true;
			return;
		}
		table->cells = cell;
		table->cell_capacity = capacity;
	}
	cell = &table->cells[table->cell_count];
	cell->text = text_escape_field(text);
	if (!cell->text) {
		table->failed = true;
		return;
	}
	cell->width = text_width(cell->text);
	cell->style = style;
	table->cell_count++;
}

/* Each column is as wide as its widest cell. */
static void natural_widths(const struct table *table, unsigned int *widths)
{
	size_t i, column;

	for (i = 0; i < table->column_count; i++)
		widths[i] = text_width(table->columns[i].title);
	for (i = 0; i < table->cell_count; i++) {
		column = i % table->column_count;
		if (table->cells[i].width > widths[column])
			widths[column] = table->cells[i].width;
	}
}

static unsigned int total_width(const struct table *table, const unsigned int *widths)
{
	unsigned int total = 0;
	size_t i;

	for (i = 0; i < table->column_count; i++)
		if (widths[i])
			total += widths[i] + TABLE_GAP;
	return total ? total - TABLE_GAP : 0;
}

static unsigned int cut_limit(const struct table_column *column, bool last)
{
	return last ? column->last_width : column->min_width;
}

/* Cuts the widest column that may be cut by one. */
static bool cut_one(const struct table *table, unsigned int *widths, bool last)
{
	size_t i, widest = table->column_count;
	unsigned int limit;

	for (i = 0; i < table->column_count; i++) {
		limit = cut_limit(&table->columns[i], last);
		if (limit && widths[i] > limit &&
		    (widest == table->column_count || widths[i] > widths[widest]))
			widest = i;
	}
	if (widest == table->column_count)
		return false;
	widths[widest]--;
	return true;
}

static bool leave_out_one(const struct table *table, unsigned int *widths, bool *left_out)
{
	size_t i, max = table->column_count;

	for (i = 0; i < table->column_count; i++)
		if (!left_out[i] && table->columns[i].minor &&
		    (max == table->column_count ||
		     table->columns[i].minor > table->columns[max].minor))
			max = i;
	if (max == table->column_count)
		return false;
	left_out[max] = true;
	natural_widths(table, widths);
	for (i = 0; i < table->column_count; i++)
		if (left_out[i])
			widths[i] = 0;
	return true;
}

static void fit(const struct table *table, unsigned int *widths, unsigned int limit)
{
	bool left_out[TABLE_COLUMNS_MAX] = {false};

	natural_widths(table, widths);
	if (!limit)
		return;
	while (total_width(table, widths) > limit)
		if (!cut_one(table, widths, false) && !leave_out_one(table, widths, left_out) &&
		    !cut_one(table, widths, true))
			return;
}

/* Bytes of text that fit width terminal columns; *ret_used = the columns they take. */
static size_t bytes_within(const char *text, unsigned int width, unsigned int *ret_used)
{
	const char *at = text, *next = text;
	unsigned int used = 0, one;

	while (*at) {
		one = character_width(&next);
		if (used + one > width)
			break;
		used += one;
		at = next;
	}
	*ret_used = used;
	return (size_t)(at - text);
}

/* The end of text that fits width terminal columns. No mark may join the sign before it. */
static const char *end_within(const char *text, unsigned int width)
{
	unsigned int left = text_width(text), one;
	const char *next = text;

	while (*text) {
		one = character_width(&next);
		if (left <= width && one)
			break;
		left -= one;
		text = next;
	}
	return text;
}

/*
 * Prints text, cut to width terminal columns in its middle: long names differ at either end.
 * Returns the columns printed.
 */
static unsigned int print_text(FILE *out, const char *text, unsigned int width)
{
	unsigned int used;
	size_t whole = strlen(text);
	const char *end;

	if (bytes_within(text, width, &used) == whole) {
		fputs(text, out);
		return used;
	}
	fwrite(text, 1, bytes_within(text, width / 2, &used), out);
	end = end_within(text, width - 1 - width / 2);
	fputs(TABLE_CUT, out);
	fputs(end, out);
	return used + 1 + text_width(end);
}

struct table_layout {
	unsigned int widths[TABLE_COLUMNS_MAX];
	size_t last; /* last column shown: no padding after it */
	bool colour;
};

static void print_cell(FILE *out, const struct table_layout *layout, size_t column,
		       const char *text, enum style style)
{
	unsigned int width = layout->widths[column], used;

	if (!width)
		return;
	fputs(style_begin(style, layout->colour), out);
	used = print_text(out, text, width);
	fputs(style_end(style, layout->colour), out);
	if (column == layout->last)
		fputc('\n', out);
	else
		fprintf(out, "%*s", (int)(width - used + TABLE_GAP), "");
}

int table_print(const struct table *table, FILE *out, unsigned int width, bool colour)
{
	struct table_layout layout = {.colour = colour};
	size_t i;

	if (table->failed)
		return -ENOMEM;
	fit(table, layout.widths, width);
	for (i = 0; i < table->column_count; i++)
		if (layout.widths[i])
			layout.last = i;
	for (i = 0; i < table->column_count; i++)
		print_cell(out, &layout, i, table->columns[i].title, STYLE_TITLE);
	for (i = 0; i < table->cell_count; i++)
		print_cell(out, &layout, i % table->column_count, table->cells[i].text,
			   table->cells[i].style);
	return 0;
}
