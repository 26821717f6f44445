/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The established IKE_SAs, and the authentication class of their peers. A key
 * manager may report the class by its configuration as it is now. An IKE_SA keeps
 * the class that it was set up with. Its successors keep that class too: a rekey
 * authenticates no peer (RFC 7296 section 2.8.3).
 */
#ifndef LATCHD_SA_PEERS_IKE_SAS_H
#define LATCHD_SA_PEERS_IKE_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "latchd/feeds/feed.h"

struct ike_sa_key {
	const struct feed *feed;
	uint64_t unique_id; /* unique within one life of the key manager only */
};

struct ike_sa {
	struct ike_sa_key key;
	struct feed_peer peer;
	bool in_snapshot;     /* the running snapshot has reported it */
	bool class_confirmed; /* the class was reported when the IKE_SA was set up */
	UT_hash_handle hh;
};

struct ike_sas { /* zeroed before first use; owns its entries */
	struct ike_sa *first;
};

/* NULL: not known to be established. */
struct ike_sa *ike_sas_find(const struct ike_sas *ike_sas, const struct feed *feed,
			    uint32_t unique_id);
/* Adds or updates an established IKE_SA. NULL: out of memory. */
struct ike_sa *ike_sas_learn(struct ike_sas *ike_sas, const struct feed *feed,
			     const struct feed_peer *peer);
/* peer's IKE_SA replaces the IKE_SA with the unique id old. NULL: out of memory. */
struct ike_sa *ike_sas_rekey(struct ike_sas *ike_sas, const struct feed *feed, uint32_t old,
			     const struct feed_peer *peer);
/* Writes the class of the IKE_SA's peer to a report with the same names. */
void ike_sas_correct_peer(const struct ike_sa *ike_sa, struct feed_peer *peer);
void ike_sas_correct_child(const struct ike_sa *ike_sa, struct feed_child *child);
/* Takes the class from a CHILD_SA with the same names, unless the class is confirmed already. */
void ike_sas_infer_class(struct ike_sa *ike_sa, const struct feed_child *child);
/* Frees the IKE_SA. */
void ike_sas_remove(struct ike_sas *ike_sas, struct ike_sa *ike_sa);
void ike_sas_clear(struct ike_sas *ike_sas);

/* Removes the feed's IKE_SAs that no report between the two calls names. */
void ike_sas_snapshot_begin(struct ike_sas *ike_sas, const struct feed *feed);
void ike_sas_snapshot_end(struct ike_sas *ike_sas, const struct feed *feed);
/* Removes all of the feed: a restarted key manager starts its unique ids again. */
void ike_sas_feed_lost(struct ike_sas *ike_sas, const struct feed *feed);

#endif
