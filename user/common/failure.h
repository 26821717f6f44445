/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one shape of an error that reaches people. A function with something to report takes a
 * struct failure and returns a negative errno. The edge prints the text: main.c, the control
 * socket's answer, or latchctl.
 */
#ifndef LATCHD_COMMON_FAILURE_H
#define LATCHD_COMMON_FAILURE_H

#define FAILURE_TEXT_MAX 1024 /* bytes, the NUL included */

/* Owned by the caller. The text is unspecified unless a function returned an error. */
struct failure {
	char text[FAILURE_TEXT_MAX]; /* one line: object, operation, cause; next step */
};

/*
 * Formats the text and returns err. Unprintable bytes are escaped, see text_escape(); a text
 * that is too long is cut. "%m" is the errno of the caller.
 */
int failure_set(struct failure *failure, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
