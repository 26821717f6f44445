/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures the output to a stream, such as stdout, as text. */
#ifndef LATCHD_TESTS_CAPTURE_H
#define LATCHD_TESTS_CAPTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct capture {
	FILE *stream, *copy;
	int saved;
};

static inline struct capture capture_begin(FILE *stream)
{
	struct capture capture = {stream, tmpfile(), -1};

	fflush(stream);
	capture.saved = dup(fileno(stream));
	cr_assert(capture.copy && capture.saved >= 0);
	cr_assert_geq(dup2(fileno(capture.copy), fileno(stream)), 0);
	return capture;
}

/* The text is never freed. */
static inline const char *capture_end(struct capture *capture)
{
	char *text;
	off_t size;

	fflush(capture->stream);
	cr_assert_geq(dup2(capture->saved, fileno(capture->stream)), 0);
	close(capture->saved);
	size = lseek(fileno(capture->copy), 0, SEEK_END);
	text = calloc(1, (size_t)size + 1);
	cr_assert_eq(pread(fileno(capture->copy), text, (size_t)size, 0), size);
	fclose(capture->copy);
	return text;
}

#endif
