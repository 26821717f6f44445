/* SPDX-License-Identifier: BSD-2-Clause */
/* A temporary directory of the test's own, and files in it. */
#ifndef LATCHD_TESTS_SCRATCH_H
#define LATCHD_TESTS_SCRATCH_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_dir[64];

static inline void scratch_make(void)
{
	strcpy(scratch_dir, "/tmp/latchd-test-XXXXXX");
	cr_assert_not_null(mkdtemp(scratch_dir));
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
				     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_remove(void)
{
	if (scratch_dir[0])
		nftw(scratch_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of name below the directory, in one of four static buffers. */
static inline const char *scratch_path(const char *name)
{
	static char paths[4][256];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch_dir, name);
	return path;
}

static inline void scratch_mkdir(const char *name)
{
	cr_assert_eq(mkdir(scratch_path(name), 0700), 0, "mkdir %s", name);
}

static inline const char *scratch_write(const char *name, const char *text, size_t length)
{
	const char *path = scratch_path(name);
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file, "open %s", path);
	cr_assert_eq(fwrite(text, 1, length, file), length);
	cr_assert_eq(fclose(file), 0);
	return path;
}

#endif
