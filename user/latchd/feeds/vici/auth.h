/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Authentication class and remote id of the peers of each IKE configuration, which charon reports
 * by its name, in list-conn messages only. Several certificates fix none of them. A configuration
 * may be reloaded with another class, so an answer counts only for IKE_SAs from before the query;
 * times are counts of received messages.
 */
#ifndef LATCHD_FEEDS_VICI_AUTH_H
#define LATCHD_FEEDS_VICI_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/auth_parts.h"
#include "latchd/feeds/vici/message.h"
#include "latchd/feeds/vici/proof.h"

void vici_auth_free(struct vici_auth *auth);

/* A list-conns query was sent at the time queried_at. */
void vici_auth_listing_begin(struct vici_auth *auth, uint64_t queried_at);
/* Reads one list-conn message of the answer: 0, -ENOMEM, -E2BIG past VICI_AUTH_ENTRIES_MAX
 * configurations. */
int vici_auth_read_listed(struct vici_auth *auth, struct vici_span message);
/* The answer is complete; config_name is the queried configuration, NULL for all. A configuration
 * that was not listed keeps its class, or has none. Errors as above. */
int vici_auth_listing_end(struct vici_auth *auth, const char *config_name);

/* An IKE_SA of this configuration was set up at the time at: older answers no longer count. Errors
 * as above. */
int vici_auth_outdate(struct vici_auth *auth, const char *config_name, uint64_t at);

/* False: a query is needed first. */
bool vici_auth_find(const struct vici_auth *auth, const char *config_name, enum feed_auth *class);

/* The remote sections from an answer to a query at or after the time since. False: a query is
 * needed first. *ret_remote is valid until the next answer. */
bool vici_auth_remote(const struct vici_auth *auth, const char *config_name, uint64_t since,
		      const struct vici_remote **ret_remote);

/* Calls each() for this configuration if it leaves traps. NULL: for all configurations that do. */
void vici_auth_each_trap(const struct vici_auth *auth, const char *config_name,
			 void (*each)(void *context, const char *config_name), void *context);

/* The class of one remote-N section, from charon's text. */
enum feed_auth vici_auth_class(struct vici_text text);

#endif
