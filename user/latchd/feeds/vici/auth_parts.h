/* SPDX-License-Identifier: BSD-2-Clause */
/* An entry of struct vici_auth, for its files. Others use auth.h and auth_keys.h. */
#ifndef LATCHD_FEEDS_VICI_AUTH_PARTS_H
#define LATCHD_FEEDS_VICI_AUTH_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/vici/auth.h"

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

/* NULL: none of this name. */
struct vici_auth_entry *vici_auth_entry(const struct vici_auth *auth, const char *config_name);

#endif
