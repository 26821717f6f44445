/* SPDX-License-Identifier: BSD-2-Clause */
/* Log lines go to a sink of the test, or to a pipe in place of stderr. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"

static char sunk[32768];
static enum log_level sunk_level;
static int sunk_count;

static void sink(enum log_level level, const char *subsystem, const char *text)
{
	sunk_level = level;
	sunk_count++;
	snprintf(sunk, sizeof(sunk), "%s|%s", subsystem, text);
}

Test(log, the_sink_gets_level_subsystem_and_text)
{
	log_set_sink(sink);
	log_warn("vici", "%s: %d", "attempt", 3);
	cr_expect_eq(sunk_level, LOG_LEVEL_WARN);
	cr_expect_str_eq(sunk, "vici|attempt: 3");
}

Test(log, a_message_below_the_threshold_is_not_logged)
{
	log_set_sink(sink);
	cr_expect_eq(log_get_level(), LOG_LEVEL_INFO);
	log_debug("x", "dropped");
	cr_expect_eq(sunk_count, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("x", "logged");
	cr_expect_eq(sunk_count, 1);
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("x", "dropped");
	cr_expect_eq(sunk_count, 1);
}

Test(log, logging_keeps_errno)
{
	log_set_sink(sink);
	errno = ENOTTY;
	log_error("x", "%m");
	cr_expect_eq(errno, ENOTTY);
}

Test(log, a_long_text_is_cut)
{
	char longer[8192];

	memset(longer, 0x1b, sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_set_sink(sink);
	log_error("x", "%s", longer);
	cr_expect_eq(strlen(sunk), strlen("x|") + 4095 * strlen("\\x1b"));
}

/* Copies the output of one log call. with_journal: stderr is the stream of the journal. */
static void stderr_of(char *out, size_t size, const char *subsystem, bool with_journal)
{
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	char stream[64];
	struct stat st;
	ssize_t length;

	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	cr_assert_eq(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + (with_journal ? 0 : 1));
	setenv("JOURNAL_STREAM", stream, 1);
	log_warn(subsystem, "line\nbreak");
	dup2(saved, STDERR_FILENO);
	length = read(pipe_fds[0], out, size - 1);
	out[length > 0 ? length : 0] = '\0';
}

Test(log, stderr_gets_one_escaped_line)
{
	char line[256], expected[256];

	stderr_of(line, sizeof(line), "vici", false);
	snprintf(expected, sizeof(expected), "%s: vici: line\\x0abreak\n",
		 program_invocation_short_name);
	cr_expect_str_eq(line, expected);
}

Test(log, a_line_without_a_subsystem_starts_with_its_text)
{
	char line[256], expected[256];

	stderr_of(line, sizeof(line), NULL, false);
	snprintf(expected, sizeof(expected), "%s: line\\x0abreak\n", program_invocation_short_name);
	cr_expect_str_eq(line, expected);
}

Test(log, a_line_for_the_journal_has_its_priority)
{
	char line[256];

	stderr_of(line, sizeof(line), "vici", true);
	cr_expect_eq(strncmp(line, "<4>", 3), 0, "%s", line);
}

struct escape {
	const char *text, *shown;
};

static const struct escape escapes[] = {
	{"plain CN=\"x\"", "plain CN=\"x\""},
	{"", ""},
	{"\x1b[31m", "\\x1b[31m"},
	{"a\tb\r\n", "a\\x09b\\x0d\\x0a"},
	{"\x7f", "\\x7f"},
	{"J\xc3\xbcrgen \xe6\x97\xa5 \xf0\x9f\x90\xa7",
	 "J\xc3\xbcrgen \xe6\x97\xa5 \xf0\x9f\x90\xa7"},
	{"\xff\xfe", "\\xff\\xfe"},
	{"\xc3", "\\xc3"},
	{"\xc3(", "\\xc3("},
	{"\xc0\xaf", "\\xc0\\xaf"},		      /* overlong */
	{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},	      /* overlong */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      /* surrogate */
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* past U+10FFFF */
	{"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
	{"\xc2\x9b"
	 "31m",
	 "\\xc2\\x9b31m"},		     /* C1 CSI */
	{"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* right-to-left override */
	{"\xe2\x81\xa6", "\\xe2\\x81\\xa6"}, /* isolate */
	{"\xe2\x80\x8b", "\\xe2\\x80\\x8b"}, /* no width */
	{"\xef\xbb\xbf", "\\xef\\xbb\\xbf"}, /* byte order mark */
};

Test(text, text_that_could_control_a_terminal_is_escaped)
{
	char out[128];
	size_t i;

	for (i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		cr_expect_eq(text_escape(out, sizeof(out), escapes[i].text),
			     strlen(escapes[i].shown));
		cr_expect_str_eq(out, escapes[i].shown);
	}
}

Test(text, a_cut_never_splits_a_character)
{
	static const char text[] = "a\xc3\xbc\x1b\xf0\x9f\x90\xa7";
	char full[64], out[64];
	size_t size, used;

	text_escape(full, sizeof(full), text);
	for (size = 1; size <= strlen(full) + 1; size++) {
		memset(out, 'X', sizeof(out));
		used = text_escape(out, size, text);
		cr_expect(used < size && out[used] == '\0' && out[size] == 'X');
		cr_expect_eq(strncmp(out, full, used), 0);
		cr_expect(used == 0 || used == 1 || used == 3 || used == 7 || used == 11, "%zu",
			  used);
	}
}

Test(text, a_copy_that_was_cut_returns_e2big)
{
	char out[4];

	cr_expect_eq(text_copy(out, sizeof(out), "abc"), 3);
	cr_expect_str_eq(out, "abc");
	cr_expect_eq(text_copy(out, sizeof(out), "abcd"), -E2BIG);
	cr_expect_str_eq(out, "abc");
	cr_expect_eq(text_copy(out, sizeof(out), ""), 0);
}
