/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public keys of the certificates and raw keys that charon has, from the list-cert messages of
 * one query. list-conns names the certificates of a connection by their subjects only, and several
 * of them may have one subject. So a key is known if all with this subject have the same key. Any
 * host can add a certificate to the list: charon caches what a peer sends, also without trust.
 */
#ifndef LATCHD_FEEDS_VICI_KEYS_H
#define LATCHD_FEEDS_VICI_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/message.h"

#define VICI_KEYS_MAX 65536

struct vici_listed_key;

struct vici_keys { /* zeroed before first use */
	struct vici_listed_key *listed;
	size_t count, room;
	bool incomplete; /* too many keys: none is known */
};

void vici_keys_clear(struct vici_keys *keys);

/*
 * Reads one list-cert message: 0, or -ENOMEM, after which no key is known. What it cannot read has
 * no subject of which vici_keys_find() knows a key.
 */
int vici_keys_read(struct vici_keys *keys, struct vici_span message);

/* The answer is complete. */
void vici_keys_end(struct vici_keys *keys);

struct vici_found_key {
	struct feed_key key;
	bool several; /* so it is not known */
};

/*
 * The key of the certificate or raw key with this subject, as charon prints it. own: of this host,
 * so that charon has the private key.
 */
struct vici_found_key vici_keys_find(const struct vici_keys *keys, const char *subject, bool own);

#endif
