/* SPDX-License-Identifier: BSD-2-Clause */
/* The sections [peer NAME]. */
#ifndef LATCHD_CONFIG_CONFIG_PEER_H
#define LATCHD_CONFIG_CONFIG_PEER_H

#include <stdint.h>

#include "latchd/config/config_parser.h"

void config_peer_begin(struct config_parser *parser, const char *name);
void config_peer_end(struct config_parser *parser);

/* The keys. False: a bad value. */
bool config_peer_id(struct config_parser *parser, const char *value);
bool config_peer_host(struct config_parser *parser, const char *value);
bool config_peer_connection(struct config_parser *parser, const char *value);
bool config_peer_class(struct config_parser *parser, const char *value);

/* 1 + the place of the set, or 0: there is none of this name. */
uint8_t config_peer_find(const struct config *config, const char *name);

/* Equal for equal sections; 0 without any. */
uint64_t config_peers_digest(const struct config *config);

#endif
