/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of one pass over the file, and the checks that all sections use. config_load.c,
 * config_keys.c and config_rule.c use this file, which calls none of them.
 */
#ifndef LATCHD_CONFIG_CONFIG_PARSER_H
#define LATCHD_CONFIG_CONFIG_PARSER_H

#include <stdbool.h>
#include <stdio.h>

#include "common/failure.h"
#include "latchd/config/config.h"

enum config_section {
	CONFIG_SECTION_NONE,
	CONFIG_SECTION_ENFORCE,
	CONFIG_SECTION_CONTROL,
	CONFIG_SECTION_API,
	CONFIG_SECTION_FEED,
	CONFIG_SECTION_PEER,
	CONFIG_SECTION_RULE,
};

struct config_parser {
	FILE *file;
	const char *path;
	unsigned int line; /* from 1 */
	struct config *config;
	struct failure *failure;
	unsigned int failed_line; /* 0 = none yet: only the first fault is reported */
	enum config_section section;
	unsigned int sections_seen;   /* bit = enum config_section */
	unsigned long long keys_seen; /* bit = index of config_keys; of this section */
	unsigned int heading_line;    /* of this section */
	struct config_feed *feed;     /* of this section, in config */
	bool feed_has_type;
	struct config_peer *peer; /* of this section, in config */
	struct config_rule *rule; /* of this section, in config */
	unsigned int rule_keys;	  /* enum rule_key: the keys that the section has */
};

/* Sets the failure "FILE:LINE: fault; expected ...", unless there is one already. */
void config_fail(struct config_parser *parser, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Letters, digits, dots, dashes and underscores; fits in size bytes, the NUL included. */
bool config_is_name(const char *value, size_t size);

/* Fails the line unless name can be NAME in [KIND NAME]. */
bool config_check_name(struct config_parser *parser, const char *kind, const char *name);

/* Reads decimal digits. *ret_rest points behind them, into value. False: no digits, or overflow. */
bool config_number(const char *value, unsigned long *ret_number, const char **ret_rest);

#endif
