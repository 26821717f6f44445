/* SPDX-License-Identifier: BSD-2-Clause */
/* Which sets of the configuration is a peer of? */
#ifndef LATCHD_IDENTITY_PEER_SET_H
#define LATCHD_IDENTITY_PEER_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/config/config.h"

/*
 * Bit = place in config->peers. is_host: the identity is proven to be a host name; without that no
 * pattern matches it: a key id or a mail address may have the same text.
 */
uint32_t peer_sets_of(const struct config *config, const struct latch_identity *identity,
		      bool is_host);

/* A label of * in pattern is any one label. Case does not count. */
bool peer_host_matches(const char *pattern, const char *host);

#endif
