/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the peers of each IKE configuration authenticate. charon tells that only
 * in list-conn messages, by the configuration's name.
 *
 * A configuration may be loaded again with another class, so an answer counts
 * only for IKE_SAs that were set up before it was asked for. Time is a count of
 * messages received.
 */
#ifndef LATCHD_FEEDS_VICI_AUTH_H
#define LATCHD_FEEDS_VICI_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/message.h"

#define VICI_AUTH_BUCKETS     256
#define VICI_AUTH_ENTRIES_MAX 65536

struct vici_auth_entry;

struct vici_auth { /* zeroed before first use */
	struct vici_auth_entry *buckets[VICI_AUTH_BUCKETS];
	uint32_t entry_count;
	uint32_t listing; /* number of the list-conns whose answer is being read */
	uint64_t listing_asked_at;
};

void vici_auth_free(struct vici_auth *auth);

/* A list-conns was sent, at the time asked_at. */
void vici_auth_listing_begin(struct vici_auth *auth, uint64_t asked_at);
/* One list-conn message of its answer: 0, -ENOMEM, -E2BIG past VICI_AUTH_ENTRIES_MAX
 * configurations. */
int vici_auth_listed(struct vici_auth *auth, struct vici_span message);
/* The answer is complete; config_name is the one asked for, NULL for all. Records that it has no
 * class if none was listed. Errors as above. */
int vici_auth_listing_end(struct vici_auth *auth, const char *config_name);

/* An IKE_SA of this configuration was set up at that time: older answers no longer count. Errors as
 * above. */
int vici_auth_outdate(struct vici_auth *auth, const char *config_name, uint64_t at);

/* False: ask first. */
bool vici_auth_find(const struct vici_auth *auth, const char *config_name, enum feed_auth *class);

/* The class of one remote-N section: charon's words. */
enum feed_auth vici_auth_class(struct vici_text text);

#endif
