/* SPDX-License-Identifier: BSD-2-Clause */
/* What the configuration's parts share while the file is read. */
#ifndef LATCHD_CONFIG_CONFIG_PARSER_H
#define LATCHD_CONFIG_CONFIG_PARSER_H

#include <stdbool.h>
#include <stdio.h>

#include "latchd/config/config.h"

enum config_section {
	CONFIG_SECTION_NONE,
	CONFIG_SECTION_ENFORCE,
	CONFIG_SECTION_CONTROL,
	CONFIG_SECTION_FEED,
	CONFIG_SECTION_RULE,
};

struct config_parser {
	FILE *file;
	const char *path;
	unsigned int line;
	struct config *config;
	struct failure *failure;
	unsigned int error_line; /* 0 = none yet: the first one counts */
	enum config_section section;
	unsigned int sections_seen; /* bit = enum config_section */
	unsigned int keys_seen;	    /* bit = index of config_keys; of this section */
	unsigned int heading_line;  /* of this section */
	struct config_feed *feed;
	bool feed_has_type;
	struct config_rule *rule;
	unsigned int rule_says; /* what was written in it, not left to the default */
};

void config_fail(struct config_parser *parser, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether name can be NAME in [KIND NAME]; fails the line otherwise. */
bool config_check_name(struct config_parser *parser, const char *kind, const char *name);

/* Decimal digits; *ret_rest is what follows them. */
bool config_number(const char *value, unsigned long *ret_number, const char **ret_rest);

/* ---- rules */

void config_rule_begin(struct config_parser *parser, const char *name);
/* What can only be known when all of its lines are read. */
void config_rule_end(struct config_parser *parser);

bool config_rule_action(struct config_parser *parser, const char *value);
bool config_rule_direction(struct config_parser *parser, const char *value);
bool config_rule_protocol(struct config_parser *parser, const char *value);
bool config_rule_local(struct config_parser *parser, const char *value);
bool config_rule_remote(struct config_parser *parser, const char *value);
bool config_rule_local_port(struct config_parser *parser, const char *value);
bool config_rule_remote_port(struct config_parser *parser, const char *value);
bool config_rule_disposition(struct config_parser *parser, const char *value);
bool config_rule_errno(struct config_parser *parser, const char *value);
bool config_rule_on_dpd(struct config_parser *parser, const char *value);
bool config_rule_on_reboot(struct config_parser *parser, const char *value);
bool config_rule_on_policy_change(struct config_parser *parser, const char *value);

#endif
