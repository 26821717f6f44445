/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of connections, and what its files share. Others use auth.h and auth_keys.h. */
#ifndef LATCHD_FEEDS_VICI_AUTH_PARTS_H
#define LATCHD_FEEDS_VICI_AUTH_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/keys.h"
#include "latchd/feeds/vici/proof.h"

#define VICI_AUTH_BUCKETS     16384
#define VICI_AUTH_ENTRIES_MAX 65536

/* The key of one end, as it was decided last. */
struct vici_decided_key {
	struct feed_key key;
	char *name; /* the subject in DER, owned; NULL: not known */
	size_t name_length;
};

struct vici_auth_entry {
	struct vici_auth_entry *next;
	char config_name[FEED_NAME_MAX];
	enum feed_auth class;
	struct vici_remote remote;
	struct vici_decided_key peer, local;
	bool decided;	   /* both, also that they are not known */
	unsigned int asks; /* that cost much, one less for each VICI_KEYS_ASK_MS */
	uint64_t asked_ms;
	uint32_t listing; /* number of the last query that listed it; 0 = none */
	bool known;
	uint64_t known_at;    /* time of the query */
	uint64_t outdated_at; /* answers to earlier queries do not count */
};

struct vici_auth { /* zeroed before first use */
	struct vici_auth_entry *buckets[VICI_AUTH_BUCKETS];
	uint32_t entry_count;
	uint32_t listing; /* number of the list-conns query that is being answered */
	uint64_t listing_queried_at;
	bool listing_pins;     /* a connection of the answer admits one key of its peer */
	struct vici_keys keys; /* while list-certs is being answered: auth_keys.h */
};

/* Where an entry of this name belongs. */
struct vici_auth_entry **vici_auth_bucket(struct vici_auth *auth, const char *config_name);
/* NULL: none of this name. */
struct vici_auth_entry *vici_auth_entry(const struct vici_auth *auth, const char *config_name);

#endif
