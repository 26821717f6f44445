/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE 1 /* program_invocation_short_name */
#include "common/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"

/* Two identities of a peer, escaped, fit in: see LATCH_ID_TEXT_MAX. */
#define LOG_TEXT_MAX 4096

static enum log_level log_threshold = LOG_LEVEL_INFO;
static log_sink_fn log_sink;

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

enum log_level log_get_level(void)
{
	return log_threshold;
}

void log_set_sink(log_sink_fn sink)
{
	log_sink = sink;
}

/* A shell of a unit inherits the variable too, so that the stream must be the same one. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

/* As in syslog(3). */
static int journal_priority(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return 3;
	case LOG_LEVEL_WARN:
		return 4;
	case LOG_LEVEL_INFO:
		return 6;
	case LOG_LEVEL_DEBUG:
		return 7;
	}
	return 3;
}

static void log_to_stderr(enum log_level level, const char *subsystem, const char *text)
{
	char line[LOG_TEXT_MAX * TEXT_ESCAPE_GROWTH + 128];
	char prefix[8] = "";
	int length;

	if (stderr_is_journal())
		snprintf(prefix, sizeof(prefix), "<%d>", journal_priority(level));
	length = snprintf(line, sizeof(line), "%s%s: %s%s%s\n", prefix,
			  program_invocation_short_name, subsystem ? subsystem : "",
			  subsystem ? ": " : "", text);
	if (length >= (int)sizeof(line)) {
		length = sizeof(line) - 1;
		line[length - 1] = '\n';
	}
	/* One write() a line keeps lines of processes apart. A failure cannot be reported. */
	while (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0 && errno == EINTR)
		;
}

void log_vmessage(enum log_level level, const char *subsystem, const char *format, va_list args)
{
	char text[LOG_TEXT_MAX];
	char safe[LOG_TEXT_MAX * TEXT_ESCAPE_GROWTH + 1];
	int saved_errno = errno;

	if (level <= log_threshold) {
		vsnprintf(text, sizeof(text), format, args);
		text_escape(safe, sizeof(safe), text);
		if (log_sink)
			log_sink(level, subsystem, safe);
		else
			log_to_stderr(level, subsystem, safe);
	}
	errno = saved_errno;
}

void log_message(enum log_level level, const char *subsystem, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vmessage(level, subsystem, format, args);
	va_end(args);
}
