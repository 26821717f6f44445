/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes each message as one line to stderr: "latchd: SUBSYSTEM: TEXT". subsystem is NULL if the
 * text names its object itself: "latchd: latch 2 broken ...". For the journal of systemd
 * (JOURNAL_STREAM is set) each line begins with its level "<N>". Bytes that are not printable are
 * escaped as \xNN, see text_escape(): text of a peer never reaches a terminal raw.
 */
#ifndef LATCHD_COMMON_LOG_H
#define LATCHD_COMMON_LOG_H

#include <stdarg.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

typedef void (*log_sink_fn)(enum log_level level, const char *subsystem, const char *text);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* NULL restores stderr. Unit tests install sinks of their own. */
void log_set_sink(log_sink_fn sink);

void log_message(enum log_level level, const char *subsystem, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void log_vmessage(enum log_level level, const char *subsystem, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

#define log_error(subsystem, ...) log_message(LOG_LEVEL_ERROR, subsystem, __VA_ARGS__)
#define log_warn(subsystem, ...)  log_message(LOG_LEVEL_WARN, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...)  log_message(LOG_LEVEL_INFO, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...) log_message(LOG_LEVEL_DEBUG, subsystem, __VA_ARGS__)

#endif
