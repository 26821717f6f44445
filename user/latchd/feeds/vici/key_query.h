/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks charon for the keys of connections that admit one key of their peer. charon caches
 * certificates that a peer sends, also without trust, and lists them beside the configured ones. So
 * a key that is new, or one of several, must be listed again each time that charon has flushed its
 * cache. Where a key cannot be had in time it is not known, and the feed goes on.
 */
#ifndef LATCHD_FEEDS_VICI_KEY_QUERY_H
#define LATCHD_FEEDS_VICI_KEY_QUERY_H

#include "latchd/feeds/vici/session_parts.h"

#define VICI_KEY_ROUNDS	    3 /* flushes for a subject of several keys */
#define VICI_KEY_ROUNDS_ALL 2 /* ... for lists of all certificates, which cost charon more */

/* A list by subject may miss a certificate that prints like another one. Then all are listed if the
 * last such list is older than this, and so many times its own time. */
#define VICI_KEYS_AGE_MS    5000
#define VICI_KEYS_AGE_LISTS 100
#define VICI_KEYS_QUICK_MS  2000 /* a list that took longer is not repeated for that */

/* The answer of list-conns is complete, and needs keys. Ends the query, or the session. */
void vici_key_query(struct vici_session *session);

#endif
