/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libinih splits lines into keys and values. It reports no empty section, cuts section names
 * and joins indented lines to the value above. This file therefore reads the lines and parses
 * the section headings itself, before libinih gets them.
 */
#include "latchd/config/config_load.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "latchd/config/config_keys.h"
#include "latchd/config/config_parser.h"
#include "latchd/config/config_peer.h"
#include "latchd/config/config_rule.h"

#define CONFIG_DEFAULT_CONTROL_SOCKET "/run/latchd/latchd.sock"
#define CONFIG_DEFAULT_CHARON_SOCKET  "/var/run/charon.vici"
#define CONFIG_HEADING_MAX	      128
#define CONFIG_HEADINGS		      "[enforce], [control], [api], [feed NAME], [peer NAME] or [rule NAME]"

/* ---- sections ---- */

/* The checks that need all lines of the section. */
static void end_feed(struct config_parser *parser)
{
	const struct config_feed *other;

	if (!parser->feed_has_type) {
		config_fail(parser, parser->heading_line,
			    "[feed %s] has no type; expected a line type = vici",
			    parser->feed->name);
		return;
	}
	for (other = parser->config->feeds; other != parser->feed; other++)
		if (!strcmp(other->socket, parser->feed->socket))
			config_fail(parser, parser->heading_line,
				    "[feed %s] has the socket of [feed %s], %s; "
				    "expected a socket of its own",
				    parser->feed->name, other->name, other->socket);
}

static void end_section(struct config_parser *parser)
{
	if (parser->failed_line)
		return;
	if (parser->section == CONFIG_SECTION_FEED)
		end_feed(parser);
	else if (parser->section == CONFIG_SECTION_PEER)
		config_peer_end(parser);
	else if (parser->section == CONFIG_SECTION_RULE)
		config_rule_end(parser);
}

static void begin_feed(struct config_parser *parser, const char *name)
{
	struct config *config = parser->config;
	size_t i;

	if (!config_check_name(parser, "feed", name))
		return;
	for (i = 0; i < config->feed_count; i++) {
		if (!strcmp(config->feeds[i].name, name)) {
			config_fail(parser, parser->line,
				    "[feed %s] appears twice; expected a name of its own", name);
			return;
		}
	}
	if (config->feed_count == CONFIG_MAX_FEEDS) {
		config_fail(parser, parser->line, "[feed %s] is one too many; expected at most %d",
			    name, CONFIG_MAX_FEEDS);
		return;
	}
	parser->feed = &config->feeds[config->feed_count++];
	parser->feed_has_type = false;
	strcpy(parser->feed->name, name);
	strcpy(parser->feed->socket, CONFIG_DEFAULT_CHARON_SOCKET);
}

static void begin_section(struct config_parser *parser, const char *name)
{
	end_section(parser);
	parser->keys_seen = 0;
	parser->heading_line = parser->line;
	if (!strcmp(name, "enforce")) {
		parser->section = CONFIG_SECTION_ENFORCE;
	} else if (!strcmp(name, "control")) {
		parser->section = CONFIG_SECTION_CONTROL;
	} else if (!strcmp(name, "api")) {
		parser->section = CONFIG_SECTION_API;
	} else if (!strncmp(name, "feed ", 5)) {
		parser->section = CONFIG_SECTION_FEED;
		begin_feed(parser, name + 5 + strspn(name + 5, " \t"));
		return;
	} else if (!strncmp(name, "peer ", 5)) {
		parser->section = CONFIG_SECTION_PEER;
		config_peer_begin(parser, name + 5 + strspn(name + 5, " \t"));
		return;
	} else if (!strncmp(name, "rule ", 5)) {
		parser->section = CONFIG_SECTION_RULE;
		config_rule_begin(parser, name + 5 + strspn(name + 5, " \t"));
		return;
	} else {
		config_fail(parser, parser->line, "unknown section [%s]; expected " CONFIG_HEADINGS,
			    name);
		return;
	}
	if (parser->sections_seen & 1U << parser->section)
		config_fail(parser, parser->line,
			    "section [%s] appears twice; expected all of its keys in one", name);
	parser->sections_seen |= 1U << parser->section;
}

static void read_heading(struct config_parser *parser, const char *line)
{
	const char *end = strchr(line, ']');
	char name[CONFIG_HEADING_MAX];
	const char *rest;

	if (end) {
		rest = end + 1 + strspn(end + 1, " \t\r\n");
		if ((!*rest || *rest == ';' || *rest == '#') &&
		    (size_t)(end - line) <= sizeof(name)) {
			snprintf(name, sizeof(name), "%.*s", (int)(end - line - 1), line + 1);
			begin_section(parser, name);
			return;
		}
	}
	config_fail(parser, parser->line, "bad section heading; expected " CONFIG_HEADINGS);
}

/* ---- lines ---- */

/* Behind a value libinih ends a line at " ;" only. */
static void note_hash(struct config_parser *parser, const char *value)
{
	struct config *config = parser->config;

	if (config->hash_line_count < CONFIG_HASH_LINES_MAX &&
	    (strstr(value, " #") || strstr(value, "\t#")))
		config->hash_lines[config->hash_line_count++] = parser->line;
}

/* For libinih: 1 = continue, 0 = this line is wrong. The section that libinih reports is
 * ignored. */
static int read_key(void *context, const char *section, const char *name, const char *value)
{
	struct config_parser *parser = context;

	(void)section;
	if (parser->failed_line)
		return 0;
	note_hash(parser, value);
	if (parser->section == CONFIG_SECTION_NONE)
		config_fail(parser, parser->line,
			    "a key before the first section; expected " CONFIG_HEADINGS
			    " above it");
	else
		config_key_read(parser, name, value);
	return !parser->failed_line;
}

static bool line_byte_allowed(struct config_parser *parser, int byte)
{
	if (byte >= ' ' && byte != 0x7f)
		return true;
	if (byte != '\t' && byte != '\r')
		config_fail(parser, parser->line, "control character 0x%02x; expected text",
			    (unsigned int)byte);
	return byte == '\t' || byte == '\r';
}

/* For libinih, like fgets(): one whole line, without its indentation. */
static char *read_line(char *out, int size, void *stream)
{
	struct config_parser *parser = stream;
	int used = 0, byte = '\n';

	if (parser->failed_line)
		return NULL;
	parser->line++;
	while ((byte = getc(parser->file)) != EOF && byte != '\n') {
		if (!line_byte_allowed(parser, byte))
			return NULL;
		if (!used && isspace(byte))
			continue;
		if (used + 2 >= size) {
			config_fail(parser, parser->line,
				    "line is too long; expected at most %d bytes", size - 2);
			return NULL;
		}
		out[used++] = (char)byte;
	}
	if (byte == EOF && !used)
		return NULL;
	out[used] = '\0';
	if (out[0] == '[')
		read_heading(parser, out);
	return parser->failed_line ? NULL : out;
}

/* ---- the file ---- */

static void set_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	config->pending_ms = 5000;
	config->policy_grace_ms = 30000;
	config->latch_capacity = 65536;
	strcpy(config->control_socket, CONFIG_DEFAULT_CONTROL_SOCKET);
	strcpy(config->news_socket, LATCH_NEWS_PATH);
}

static void add_default_feed(struct config *config)
{
	struct config_feed *feed = &config->feeds[config->feed_count++];

	strcpy(feed->name, "charon");
	feed->type = CONFIG_FEED_VICI;
	strcpy(feed->socket, CONFIG_DEFAULT_CHARON_SOCKET);
}

static int fail_file(struct failure *failure, const char *path, int err)
{
	return failure_set(failure, err,
			   "%s: cannot read the configuration: %s; "
			   "expected a readable file, see latchd.conf(5)",
			   path, strerror(-err));
}

static int config_parse(FILE *file, const char *path, struct config *config,
			struct failure *failure)
{
	struct config_parser parser = {
		.file = file,
		.path = path,
		.config = config,
		.failure = failure,
	};
	int bad_line;

	errno = 0;
	bad_line = ini_parse_stream(read_line, &parser, read_key, &parser);
	if (ferror(file))
		return fail_file(failure, path, errno ? -errno : -EIO);
	if (bad_line < 0)
		return fail_file(failure, path, -ENOMEM);
	if (bad_line > 0 && (!parser.failed_line || (unsigned int)bad_line < parser.failed_line)) {
		parser.failed_line = 0;
		config_fail(&parser, (unsigned int)bad_line,
			    "neither a section nor a key; expected KEY = VALUE");
	}
	end_section(&parser);
	return parser.failed_line ? -EINVAL : 0;
}

int config_load(const char *path, bool named_by_user, struct config *config,
		struct failure *failure)
{
	auto_fclose FILE *file = NULL;
	int err = 0;

	set_defaults(config);
	file = fopen(path, "re");
	if (file)
		err = config_parse(file, path, config, failure);
	else if (errno != ENOENT || named_by_user)
		err = fail_file(failure, path, -errno);
	if (!err && !config->feed_count)
		add_default_feed(config);
	return err;
}
