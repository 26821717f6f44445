/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2: when a peer is known to be dead or to have rebooted, every
 * latch to it breaks permanently. "Known" means authenticated (RFC 7296 section 2.4),
 * and holds only for the identity that authenticated the dead IKE_SA. While that
 * identity has another established IKE_SA, the peer is not dead.
 */
#ifndef LATCHD_SA_PEERS_PEER_DEATH_H
#define LATCHD_SA_PEERS_PEER_DEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/sa/conflict/conflict.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/sa/peers/dead_peers.h"
#include "latchd/sa/peers/ike_sas.h"
#include "common/loop.h"
#include "common/walk_pace.h"

#define PEER_DEATH_REPORTS_MAX 16384 /* waiting and due reports together */

struct peer_death {
	const struct conflict_view *view;
	const struct identities *identities;
	struct ike_sas ike_sas; /* the established ones */
	/*
	 * Reports of feeds without a complete snapshot yet, and of identities that
	 * still have an IKE_SA. An IKE_SA from a list may end without an event.
	 */
	struct dead_peer *waiting;
	struct dead_peer *due; /* one scan of all latches serves all due reports */
	size_t count;	       /* of waiting and due */
	struct loop_timer work;
	struct walk_pace walks; /* over all latches */
};

/* Keeps the pointers. */
void peer_death_init(struct peer_death *peer_death, struct loop *loop,
		     const struct conflict_view *view, const struct identities *identities);
/* Breaks the latches of due reports first, then frees all. */
void peer_death_clear(struct peer_death *peer_death);

/* An IKE_SA is established. */
void peer_death_ike_sa_up(struct peer_death *peer_death, struct feed *feed,
			  const struct feed_peer *peer);
/* peer's IKE_SA is established and replaces the IKE_SA with the unique id old. */
void peer_death_ike_sa_rekeyed(struct peer_death *peer_death, struct feed *feed, uint32_t old,
			       const struct feed_peer *peer);
/* An IKE_SA has ended. synced: the feed has reported all others. report is copied. */
void peer_death_ike_sa_down(struct peer_death *peer_death, const struct peer_death_report *report,
			    bool synced);
/* An IKE_SA that the snapshot does not name has ended in good order. */
void peer_death_snapshot_begin(struct peer_death *peer_death, const struct feed *feed);
void peer_death_snapshot_end(struct peer_death *peer_death, struct feed *feed);
/* The key manager is gone, which proves nothing about any peer: its reports are dropped. */
void peer_death_feed_lost(struct peer_death *peer_death, const struct feed *feed);

#endif
