/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks charon for the keys of connections that admit one key of their peer. charon caches
 * certificates that a peer sends, also without trust, and lists them beside the configured ones. So
 * a key that is new, or one of several, is asked for again after charon has flushed its cache.
 */
#ifndef LATCHD_FEEDS_VICI_KEY_QUERY_H
#define LATCHD_FEEDS_VICI_KEY_QUERY_H

#include "latchd/feeds/vici/session_parts.h"

/* The answer of list-conns is complete, and needs keys. Ends the query, or the session. */
void vici_key_query(struct vici_session *session);

#endif
