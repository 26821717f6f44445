/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decision on each authenticated IKE_SA of one charon: class and proof of its peer, with a
 * share for each peer and connection. It is made once (finding.h) and kept: a connection that is
 * reloaded later says nothing about a peer that authenticated before. Names are keyed hashes: of
 * the connection, and of the connection and the identity.
 */
#ifndef LATCHD_FEEDS_VICI_DECISIONS_H
#define LATCHD_FEEDS_VICI_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/proof.h"

#define VICI_DECISIONS_MAX	  65536 /* counted decisions */
#define VICI_DECISIONS_CONNECTION 49152 /* share of a connection */
#define VICI_DECISIONS_PEER	  1024	/* share of an identity of a connection */
/* Bounds that include uncounted decisions: of a file, and of IKE_SAs that other IKE_SAs
 * continue. */
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
	struct feed_key peer_key, local_key; /* of the connection under which the peer came */
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

/* Reserves the memory for all decisions at once: without memory for its decision a peer would be
 * refused for good. Only used pages become resident. 0 or -ENOMEM. */
int vici_decisions_reserve(struct vici_decisions *decisions);
/* Releases the memory, too. */
void vici_decisions_clear(struct vici_decisions *decisions);

/* NULL: none. Valid until the next call that changes the table. */
const struct vici_decision *vici_decisions_find(struct vici_decisions *decisions,
						uint32_t ike_unique_id);

/* May a peer that has authenticated have one more decision? -E2BIG past VICI_DECISIONS_MAX;
 * -EDQUOT: the share of the connection or peer is full. Uncounted decisions use no share. */
int vici_decisions_room(const struct vici_decisions *decisions, uint64_t connection, uint64_t peer);

/* The first decision stays, and later ones are ignored. Only VICI_UNPROVEN_UNNOTED is replaced,
 * since it is no decision. The decision is counted if its shares have room. -ENOMEM; -E2BIG past
 * VICI_DECISIONS_CONTINUED; -EDQUOT past VICI_DECISIONS_CONNECTION_CONTINUED or
 * VICI_DECISIONS_PEER_CONTINUED. */
int vici_decisions_set(struct vici_decisions *decisions, uint32_t ike_unique_id,
		       const struct vici_decision *decision);

/* The IKE_SA continues old: it gets the decision of old, and the place of old in the shares. Errors
 * as above; -ENOENT: old has no decision. */
int vici_decisions_inherit(struct vici_decisions *decisions, uint32_t ike_unique_id, uint32_t old);

/* Restores a decision from the file. It uses no share until a report shows the IKE_SA. */
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

/* A snapshot is complete. Drops each decision that was not looked up during two snapshots. Returns
 * the highest number of an IKE_SA without proof among the dropped ones; 0: none. */
uint32_t vici_decisions_sweep(struct vici_decisions *decisions);

#endif
