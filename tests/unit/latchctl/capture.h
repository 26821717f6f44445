/* SPDX-License-Identifier: BSD-2-Clause */
/* What is written to stdout or stderr, as text. */
#ifndef LATCHD_TESTS_CAPTURE_H
#define LATCHD_TESTS_CAPTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct capture {
	FILE *stream, *kept;
	int saved;
};

static inline struct capture capture_begin(FILE *stream)
{
	struct capture capture = {stream, tmpfile(), -1};

	fflush(stream);
	capture.saved = dup(fileno(stream));
	cr_assert(capture.kept && capture.saved >= 0);
	cr_assert_geq(dup2(fileno(capture.kept), fileno(stream)), 0);
	return capture;
}

/* The text is kept until the process ends. */
static inline const char *capture_end(struct capture *capture)
{
	char *text;
	off_t size;

	fflush(capture->stream);
	cr_assert_geq(dup2(capture->saved, fileno(capture->stream)), 0);
	close(capture->saved);
	size = lseek(fileno(capture->kept), 0, SEEK_END);
	text = calloc(1, (size_t)size + 1);
	cr_assert_eq(pread(fileno(capture->kept), text, (size_t)size, 0), size);
	fclose(capture->kept);
	return text;
}

#endif
