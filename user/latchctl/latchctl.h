/* SPDX-License-Identifier: BSD-2-Clause */
/* Options and exit codes that all verbs share; latchctl(8) describes both. */
#ifndef LATCHCTL_LATCHCTL_H
#define LATCHCTL_LATCHCTL_H

#include <stdbool.h>
#include <stdio.h>

#define CTL_DEFAULT_SOCKET "/run/latchd/latchd.sock"
#define CTL_SCHEMA	   1

enum ctl_exit {
	CTL_EXIT_OK = 0,
	CTL_EXIT_FAILED = 1, /* also: status found enforcement off */
	CTL_EXIT_USAGE = 2,
	CTL_EXIT_ATTENTION = 3, /* status: enforcement is on, but not for all connections */
	CTL_EXIT_UNREACHABLE = 4,
	CTL_EXIT_NOT_PERMITTED = 5,
	CTL_EXIT_AUDIT = 6, /* status: all programs are attached, and nothing is enforced */
};

struct ctl_options {
	const char *socket;
	bool json;
	bool colour;
	bool yes;	      /* purge without confirmation */
	const char *latch_id; /* of break, heal, close; unchecked; NULL = not given */
	const char *pid, *fd; /* of whois; unchecked; NULL = not given */
	/* After list: conditions; after explain: ID or flow; after whois: ends; after mode: its
	 * word; unchecked. */
	char *const *words;
	size_t word_count;
	unsigned int width; /* columns of the terminal; 0 = no terminal, no limit */
};

struct json_object;

enum ctl_exit ctl_status(const struct ctl_options *options);
enum ctl_exit ctl_list(const struct ctl_options *options);
enum ctl_exit ctl_sa(const struct ctl_options *options);
enum ctl_exit ctl_whois(const struct ctl_options *options);
enum ctl_exit ctl_monitor(const struct ctl_options *options);
enum ctl_exit ctl_explain(const struct ctl_options *options);
enum ctl_exit ctl_break(const struct ctl_options *options);
enum ctl_exit ctl_heal(const struct ctl_options *options);
enum ctl_exit ctl_close(const struct ctl_options *options);
enum ctl_exit ctl_mode(const struct ctl_options *options);
enum ctl_exit ctl_audit(const struct ctl_options *options);
enum ctl_exit ctl_purge(const struct ctl_options *options);
enum ctl_exit ctl_version(const struct ctl_options *options);

/* Render latchd's documents as text. Any member of a document may be missing. */
enum ctl_exit ctl_render_status(FILE *out, const struct ctl_options *options,
				struct json_object *document);
enum ctl_exit ctl_render_list(FILE *out, const struct ctl_options *options,
			      struct json_object *document);
enum ctl_exit ctl_render_sa(FILE *out, const struct ctl_options *options,
			    struct json_object *document);
enum ctl_exit ctl_render_whois(FILE *out, const struct ctl_options *options,
			       struct json_object *document);
enum ctl_exit ctl_render_explain(FILE *out, const struct ctl_options *options,
				 struct json_object *document);
enum ctl_exit ctl_render_mode(FILE *out, const struct ctl_options *options,
			      struct json_object *document);
enum ctl_exit ctl_render_audit(FILE *out, const struct ctl_options *options,
			       struct json_object *document);
/* Renders an event as one line. */
void ctl_render_event(FILE *out, const struct ctl_options *options, struct json_object *event);

/*
 * The only function that prints errors: one line "latchctl: ..." on stderr, escaped for a terminal.
 * The text is "OBJECT: cannot OPERATION: CAUSE; NEXT STEP". Returns code.
 */
enum ctl_exit ctl_fail(enum ctl_exit code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
