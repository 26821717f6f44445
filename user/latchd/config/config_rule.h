/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The section [rule NAME]. A rule that can never decide over a flow is an error, since its
 * author expected it to decide.
 */
#ifndef LATCHD_CONFIG_CONFIG_RULE_H
#define LATCHD_CONFIG_CONFIG_RULE_H

#include "latchd/config/config_parser.h"

void config_rule_begin(struct config_parser *parser, const char *name);

/* The checks that need all lines of the rule. */
void config_rule_end(struct config_parser *parser);

/* One function a key. False: the value is not one that the key can have. */
bool config_rule_action(struct config_parser *parser, const char *value);
bool config_rule_direction(struct config_parser *parser, const char *value);
bool config_rule_protocol(struct config_parser *parser, const char *value);
bool config_rule_local(struct config_parser *parser, const char *value);
bool config_rule_remote(struct config_parser *parser, const char *value);
bool config_rule_local_port(struct config_parser *parser, const char *value);
bool config_rule_remote_port(struct config_parser *parser, const char *value);
bool config_rule_peer(struct config_parser *parser, const char *value);
bool config_rule_min_encryption(struct config_parser *parser, const char *value);
bool config_rule_disposition(struct config_parser *parser, const char *value);
bool config_rule_errno(struct config_parser *parser, const char *value);
bool config_rule_on_dpd(struct config_parser *parser, const char *value);
bool config_rule_on_reboot(struct config_parser *parser, const char *value);
bool config_rule_on_policy_change(struct config_parser *parser, const char *value);

#endif
