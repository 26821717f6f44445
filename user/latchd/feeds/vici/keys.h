/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public keys of the certificates and raw keys that charon has, from the list-cert messages of
 * one query. list-conns names the certificates of a connection by their subjects only, and several
 * of them may have one subject. So a key is known if all with this subject have the same key. Any
 * host can add a certificate to the list: charon caches what a peer sends, also without trust. So
 * charon may be asked in several rounds, between which it forgets these.
 */
#ifndef LATCHD_FEEDS_VICI_KEYS_H
#define LATCHD_FEEDS_VICI_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/message.h"

#define VICI_KEYS_MAX 65536

struct vici_listed_key;

struct vici_listed_keys {
	struct vici_listed_key *at;
	size_t count, room;
};

struct vici_keys {			/* zeroed before first use */
	struct vici_listed_keys listed; /* in this round */
	struct vici_listed_keys agreed; /* in each round before */
	unsigned int rounds;
	bool incomplete; /* too many keys: none is known */
};

void vici_keys_clear(struct vici_keys *keys);

/*
 * Reads one list-cert message: 0, or -ENOMEM, after which no key is known. What it cannot read has
 * no subject of which vici_keys_find() knows a key.
 */
int vici_keys_read(struct vici_keys *keys, struct vici_span message);

/* Has this round listed a key of the subject so far? own as below. */
bool vici_keys_lists(const struct vici_keys *keys, const char *subject, bool own);

/* The round is complete. A key counts that each round has listed. */
void vici_keys_end(struct vici_keys *keys);

struct vici_found_key {
	struct feed_key key;
	bool several; /* so it is not known */
	struct vici_text
		name; /* the subject in DER, of a certificate. Valid until the next round */
};

/*
 * The key of the certificate or raw key with this subject, as charon prints it. The subject is one
 * that vici_subject_is_readable(). own: of this host, so that charon has the private key.
 */
struct vici_found_key vici_keys_find(const struct vici_keys *keys, const char *subject, bool own);

#endif
