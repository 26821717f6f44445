/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is kept of the IKE_SAs and connections of one charon, and the names under which it is kept.
 * A name is a keyed hash: a peer cannot choose identities that share one.
 */
#ifndef LATCHD_FEEDS_VICI_DECISION_MEMORY_H
#define LATCHD_FEEDS_VICI_DECISION_MEMORY_H

#include <stdint.h>

#include "common/keyed_hash.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/decisions.h"
#include "latchd/feeds/vici/message.h"
#include "latchd/feeds/vici/unproven_connections.h"

struct vici_memory { /* zeroed before first use */
	struct keyed_hash_key key;
	struct vici_decisions decisions;
	struct vici_unproven_connections unproven_connections;
	uint32_t unnoted; /* the highest number of an IKE_SA for which there was no room */
};

uint64_t vici_name_of_connection(const struct vici_memory *memory, struct vici_text config_name);
/* Of the connection and the identity. */
uint64_t vici_name_of_peer(const struct vici_memory *memory, const struct feed_peer *peer);

#endif
