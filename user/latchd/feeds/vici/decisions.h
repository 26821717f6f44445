/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is decided of each authenticated IKE_SA of one charon: class and proof of its peer.
 *
 * It is decided once, when the IKE_SA is first seen, and never again. A connection
 * that is reloaded later says nothing about a peer that authenticated before.
 * Names are keyed hashes: of the connection, and of the connection and the identity.
 */
#ifndef LATCHD_FEEDS_VICI_DECISIONS_H
#define LATCHD_FEEDS_VICI_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/proof.h"

#define VICI_DECISIONS_MAX	  65536 /* that count */
#define VICI_DECISIONS_CONNECTION 49152 /* share of a connection */
#define VICI_DECISIONS_PEER	  1024	/* share of an identity of a connection */
/* With those of a file that may have ended, and of IKE_SAs that others continue. */
#define VICI_DECISIONS_CONTINUED	    131072
#define VICI_DECISIONS_CONNECTION_CONTINUED 98304
#define VICI_DECISIONS_PEER_CONTINUED	    4096 /* not of a file */
#define VICI_DECISIONS_FOLLOWERS	    4096
#define VICI_DECISIONS_BUCKETS		    4096

struct vici_noted;
struct vici_share;

struct vici_decision {
	enum vici_proof proof;
	enum feed_auth class;
	uint64_t connection, peer;
};

struct vici_decisions { /* zeroed before first use */
	struct vici_noted *buckets[VICI_DECISIONS_BUCKETS];
	struct vici_share *shares[VICI_DECISIONS_BUCKETS]; /* of connections and of peers */
	size_t count, counted, followers;
	uint64_t snapshot; /* number of the snapshot that is complete next */
	struct vici_noted *noted_pool, *noted_spare;
	struct vici_share *share_pool, *share_spare;
	size_t noted_used, shares_used; /* of the pools so far */
};

/* Takes the memory for all decisions at once: a decision that finds none would refuse its peer for
 * good. Only what is used becomes resident. 0 or -ENOMEM. */
int vici_decisions_reserve(struct vici_decisions *decisions);
/* Releases the memory, too. */
void vici_decisions_clear(struct vici_decisions *decisions);

/* NULL: none. Valid until the next call that changes the table. */
const struct vici_decision *vici_decisions_find(struct vici_decisions *decisions,
						uint32_t ike_unique_id);

/* May a peer that has authenticated have one more? -E2BIG past VICI_DECISIONS_MAX; -EDQUOT: the
 * connection or the peer has its share. What does not count takes no place from another. */
int vici_decisions_room(const struct vici_decisions *decisions, uint64_t connection, uint64_t peer);

/* A first decision stays: a second one is ignored, but for VICI_UNPROVEN_UNNOTED, which decides
 * nothing. It counts if its shares have room. -ENOMEM; -E2BIG past VICI_DECISIONS_CONTINUED;
 * -EDQUOT past VICI_DECISIONS_CONNECTION_CONTINUED or VICI_DECISIONS_PEER_CONTINUED. */
int vici_decisions_set(struct vici_decisions *decisions, uint32_t ike_unique_id,
		       const struct vici_decision *decision);

/* The same with the decision of old, which it continues: it takes the place of old in the shares.
 * -ENOENT: old has none. */
int vici_decisions_inherit(struct vici_decisions *decisions, uint32_t ike_unique_id, uint32_t old);

/* The same from a file. It may have ended: it counts for no share until it is found. */
int vici_decisions_restore(struct vici_decisions *decisions, uint32_t ike_unique_id,
			   const struct vici_decision *decision);

/* The IKE_SA continues old, which has no decision yet. -ENOMEM; -E2BIG past
 * VICI_DECISIONS_FOLLOWERS.
 */
int vici_decisions_follow(struct vici_decisions *decisions, uint32_t ike_unique_id, uint32_t old);
/* The IKE_SA with a decision that this one continues; 0: none. */
uint32_t vici_decisions_followed(const struct vici_decisions *decisions, uint32_t ike_unique_id);

/* Calls each() for every decision. */
void vici_decisions_each(const struct vici_decisions *decisions,
			 void (*each)(void *context, uint32_t ike_unique_id,
				      const struct vici_decision *decision),
			 void *context);

/* A snapshot is complete. A decision that neither a snapshot nor an event has asked for during two
 * of them ends. Returns the highest number of an IKE_SA that had no proof; 0: none. */
uint32_t vici_decisions_sweep(struct vici_decisions *decisions);

#endif
