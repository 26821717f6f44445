/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IKE_SAs that live, and how their peers were authenticated. A key manager
 * may tell the class by its configuration as it is now; an IKE_SA keeps the one
 * that it was set up with, and so do its successors, which nobody authenticates.
 */
#ifndef LATCHD_SA_IKE_SAS_H
#define LATCHD_SA_IKE_SAS_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "latchd/feeds/feed.h"

struct ike_sa_key {
	const struct feed *feed;
	uint64_t unique_id;
};

struct ike_sa {
	struct ike_sa_key key;
	struct feed_peer peer;
	bool seen; /* in the snapshot that is running */
	bool sure; /* of the class: it was told when the IKE_SA was set up */
	UT_hash_handle hh;
};

struct ike_sas { /* zeroed before first use */
	struct ike_sa *first;
};

/* NULL: it does not live, as far as is known. */
struct ike_sa *ike_sas_find(const struct ike_sas *ike_sas, const struct feed *feed,
			    uint32_t unique_id);
/* One that lives, known or new. NULL: out of memory. */
struct ike_sa *ike_sas_learn(struct ike_sas *ike_sas, const struct feed *feed,
			     const struct feed_peer *peer);
/* peer has taken the place of the IKE_SA called old. NULL: out of memory. */
struct ike_sa *ike_sas_rekey(struct ike_sas *ike_sas, const struct feed *feed, uint32_t old,
			     const struct feed_peer *peer);
/* The class that its peer was authenticated by, into what is said of it under the same names. */
void ike_sa_correct(const struct ike_sa *ike_sa, struct feed_peer *peer);
void ike_sa_correct_child(const struct ike_sa *ike_sa, struct feed_child *child);
/* A child's peer was authenticated by this class, and so was its IKE_SA's, unless that is known. */
void ike_sa_infer(struct ike_sa *ike_sa, const struct feed_child *child);
void ike_sas_forget(struct ike_sas *ike_sas, struct ike_sa *ike_sa);
void ike_sas_clear(struct ike_sas *ike_sas);

/* What the snapshot does not name between the two is forgotten. */
void ike_sas_snapshot_begin(struct ike_sas *ike_sas, const struct feed *feed);
void ike_sas_snapshot_end(struct ike_sas *ike_sas, const struct feed *feed);
/* What is known of them may be of another life of the key manager. */
void ike_sas_feed_lost(struct ike_sas *ike_sas, const struct feed *feed);

#endif
