/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of all sections, what each expects, and where its value goes. Refuses a cgroup that is
 * above, below or equal to another one.
 */
#ifndef LATCHD_CONFIG_CONFIG_KEYS_H
#define LATCHD_CONFIG_CONFIG_KEYS_H

#include "latchd/config/config_parser.h"

/* Reads a key's line in the parser's section into the configuration, or fails the line. */
void config_key_read(struct config_parser *parser, const char *name, const char *value);

#endif
