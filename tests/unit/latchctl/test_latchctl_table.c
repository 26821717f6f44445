/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables in the width of a terminal: table_print() prints cells of the test into memory. A text,
 * which a peer may have chosen, must not look like several cells or lines.
 */
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "latchctl/table.h"

static const struct table_column columns[] = {
	{"ID", 0, 0, 0},  {"STATE", 0, 1, 0}, {"PEER", 12, 0, 6},
	{"AGE", 0, 2, 0}, {"WHY", 10, 0, 0},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

static void begin(void)
{
	cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
}

TestSuite(latchctl_table, .init = begin);

/* Cells row by row, up to NULL. */
static char *table_text(const char *const *cells, unsigned int width, bool colour)
{
	struct table table;
	size_t length;
	char *text;
	FILE *out = open_memstream(&text, &length);

	table_begin(&table, columns, COLUMN_COUNT);
	for (; *cells; cells++)
		table_add(&table, STYLE_PLAIN, *cells);
	cr_assert_eq(table_print(&table, out, width, colour), 0);
	table_end(&table);
	fclose(out);
	return text;
}

static void expect_table(const char *const *cells, unsigned int width, const char *expected)
{
	char *text = table_text(cells, width, false);

	cr_expect_str_eq(text, expected, "at %u:\n%s", width, text);
	free(text);
}

static const char *const plain[] = {
	"1",	     "established",
	"c.example", "2m",
	"-",	     "2",
	"broken",    "a-rather-long-name.of-a-host.example",
	"3d",	     "sa-conflict,peer-dead",
	NULL,
};

static const char *const none[] = {NULL};

Test(latchctl_table, width_0_sets_no_limit)
{
	expect_table(plain, 0,
		     "ID  STATE        PEER                                  AGE  WHY\n"
		     "1   established  c.example                             2m   -\n"
		     "2   broken       a-rather-long-name.of-a-host.example  3d   "
		     "sa-conflict,peer-dead\n");
	expect_table(none, 0, "ID  STATE  PEER  AGE  WHY\n");
	expect_table(none, 10, "ID  PEER  WHY\n");
}

Test(latchctl_table, the_widest_column_is_cut_first)
{
	expect_table(plain, 60,
		     "ID  STATE        PEER                AGE  WHY\n"
		     "1   established  c.example           2m   -\n"
		     "2   broken       a-rather-….example  3d   sa-confli…eer-dead\n");
}

Test(latchctl_table, minor_columns_are_left_out_when_no_column_can_be_cut)
{
	/* Without AGE, the cut columns have room again. */
	expect_table(plain, 44,
		     "ID  STATE        PEER          WHY\n"
		     "1   established  c.example     -\n"
		     "2   broken       a-rath…ample  sa-con…r-dead\n");
	expect_table(plain, 30,
		     "ID  PEER          WHY\n"
		     "1   c.example     -\n"
		     "2   a-rath…ample  sa-con…-dead\n");
	/* Columns that cannot be cut or left out remain. */
	expect_table(plain, 1,
		     "ID  PEER    WHY\n"
		     "1   c.e…le  -\n"
		     "2   a-r…le  sa-co…dead\n");
}

static unsigned int columns_of(const char *line, size_t length)
{
	wchar_t wide[512];
	char copy[512];
	size_t count;

	cr_assert_lt(length, sizeof(copy));
	memcpy(copy, line, length);
	copy[length] = '\0';
	count = mbstowcs(wide, copy, 512);
	cr_assert_neq(count, (size_t)-1, "not UTF-8: %s", copy);
	return (unsigned int)wcswidth(wide, count);
}

static void expect_lines_within(const char *text, unsigned int width)
{
	size_t length;

	for (; *text; text += length + 1) {
		length = strcspn(text, "\n");
		cr_expect_leq(columns_of(text, length), width, "wider than %u: %.*s", width,
			      (int)length, text);
	}
}

Test(latchctl_table, no_line_is_wider_than_the_terminal)
{
	static const char *const cells[] = {
		"1",
		"established",
		"名前名前名前名前名前名前名前",
		"2m",
		"e\xcc\x81t\xc3\xa9 e\xcc\x81t\xc3\xa9",
		"2",
		"broken",
		"\xff\xfe\x1b[2J\n\xe2\x80\xae"
		"evil",
		"3d",
		"x",
		NULL,
	};
	unsigned int width;
	char *text;

	for (width = 30; width < 120; width++) {
		text = table_text(cells, width, false);
		expect_lines_within(text, width);
		free(text);
		text = table_text(plain, width, false);
		expect_lines_within(text, width);
		free(text);
	}
}

Test(latchctl_table, wide_characters_are_cut_whole)
{
	static const char *const cells[] = {"1", "x", "名前名前名前名前", "2m", "-", NULL};

	expect_table(cells, 0,
		     "ID  STATE  PEER              AGE  WHY\n"
		     "1   x      名前名前名前名前  2m   -\n");
	expect_table(cells, 35,
		     "ID  STATE  PEER            AGE  WHY\n"
		     "1   x      名前名…前名前   2m   -\n");
}

/* Counts the cells of a line as a reader separates them: by two blanks or more. */
static size_t cells_of(const char *line, size_t length)
{
	size_t count = 1, i;

	for (i = 1; i + 1 < length; i++)
		if (line[i] != ' ' && line[i - 1] == ' ' && i > 1 && line[i - 2] == ' ')
			count++;
	return count;
}

/* Each is printed as ASCII. */
static const char *const hostile[] = {
	"c.example  0a/0b  2m",
	"  c.example",
	"c.example  ",
	" ",
	"c.example\t\tbroken",
	"c.example\n3   established  d.example",
	"c.example\r9",
	"c.example\xc2\xa0\xc2\xa0"
	"2m",
	"c.example\xe2\x80\x83\xe2\x80\x83"
	"2m",
	"c.example\xe3\x80\x80\xe3\x80\x80"
	"2m",
	"c.example\xe2\xa0\x80\xe2\xa0\x80"
	"2m",
	"c.example\xe3\x85\xa4\xe3\x85\xa4"
	"2m",
	"c.example\x1b[40G2m",
	"c.example\xc2\x9b"
	"40G2m",
	"c.example\xe2\x80\xae"
	"m2",
	"c.example\b\b\b",
};

Test(latchctl_table, an_identity_cannot_forge_columns)
{
	const char *cells[] = {"1", "broken", NULL, "3d", "sa-conflict", NULL};
	char printable[100] = "\n", *text;
	const char *second;
	size_t i;

	for (i = 0; i < 95; i++)
		printable[1 + i] = (char)(' ' + i);
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		cells[2] = hostile[i];
		text = table_text(cells, 0, false);
		second = strchr(text, '\n') + 1;
		cr_expect_eq(cells_of(second, strcspn(second, "\n")), COLUMN_COUNT, "%s", text);
		cr_expect_eq(strcspn(second, "\n"), strlen(second) - 1, "%s", text);
		cr_expect_eq(strspn(text, printable), strlen(text), "%s", text);
		free(text);
	}
}

Test(latchctl_table, single_blanks_within_a_cell_are_kept)
{
	static const char *const cells[] = {"1", "x", "C=XX, CN=c d", "2m", "", NULL};

	expect_table(cells, 0,
		     "ID  STATE  PEER          AGE  WHY\n"
		     "1   x      C=XX, CN=c d  2m   \n");
}

Test(latchctl_table, invalid_bytes_and_outer_blanks_are_escaped)
{
	static const char *const cells[] = {"1", "x", "a\xff\xc3", "2m", "  b", NULL};

	expect_table(cells, 0,
		     "ID  STATE  PEER       AGE  WHY\n"
		     "1   x      a\\xff\\xc3  2m   \\x20\\x20b\n");
}

Test(latchctl_table, colour_does_not_include_the_padding)
{
	struct table table;
	size_t length, i;
	char *text;
	FILE *out = open_memstream(&text, &length);

	table_begin(&table, columns, COLUMN_COUNT);
	table_add(&table, STYLE_BAD, "1");
	for (i = 1; i < COLUMN_COUNT; i++)
		table_add(&table, STYLE_PLAIN, "x");
	cr_assert_eq(table_print(&table, out, 0, true), 0);
	table_end(&table);
	fclose(out);
	cr_expect_not_null(strstr(text, "\n\033[1;31m1\033[0m   x"), "%s", text);
	free(text);
}

Test(latchctl_table, a_table_of_1000_rows_prints_1001_lines)
{
	struct table table;
	size_t length, i, lines = 0;
	char *text;
	FILE *out = open_memstream(&text, &length);

	table_begin(&table, columns, COLUMN_COUNT);
	for (i = 0; i < 1000 * COLUMN_COUNT; i++)
		table_add(&table, STYLE_PLAIN, i % COLUMN_COUNT ? "x" : "id");
	cr_assert_eq(table_print(&table, out, 80, false), 0);
	table_end(&table);
	fclose(out);
	for (i = 0; i < length; i++)
		lines += text[i] == '\n';
	cr_expect_eq(lines, 1001);
	free(text);
}
