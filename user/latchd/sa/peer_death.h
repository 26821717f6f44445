/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2: once a peer is known to be dead or to have rebooted,
 * every latch to it is broken for good. Known means authenticated (RFC 7296
 * section 2.4), and only of the identity that the dead IKE_SA was
 * authenticated with. While another IKE_SA of that identity lives, the peer
 * does.
 */
#ifndef LATCHD_SA_PEER_DEATH_H
#define LATCHD_SA_PEER_DEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/sa/conflict.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/sa/ike_sas.h"
#include "common/loop.h"

#define PEER_DEATHS_MAX 16384 /* that wait, or whose latches are not broken yet */

struct death;

struct peer_death {
	struct feed *feed;
	uint64_t netns;
	struct feed_peer peer;
	enum feed_down_cause cause;
};

struct peer_deaths {
	const struct conflict_view *view;
	const struct identities *identities;
	struct ike_sas living;
	/*
	 * Of feeds that have not told yet who else lives, and of identities that seem to
	 * live on: what a list told may be over without an event.
	 */
	struct death *waiting;
	struct death *due; /* however many: one look at all latches */
	size_t count;	   /* of both */
	struct loop_timer work;
};

void peer_deaths_init(struct peer_deaths *deaths, struct loop *loop,
		      const struct conflict_view *view, const struct identities *identities);
/* Breaks what is due first. */
void peer_deaths_clear(struct peer_deaths *deaths);

/* An IKE_SA is established. */
void peer_deaths_ike_sa_up(struct peer_deaths *deaths, struct feed *feed,
			   const struct feed_peer *peer);
/* ... and has taken the place of the one called old. */
void peer_deaths_ike_sa_rekeyed(struct peer_deaths *deaths, struct feed *feed, uint32_t old,
				const struct feed_peer *peer);
/* It has ended; synced: the feed has told all others that live. death is copied. */
void peer_deaths_ike_sa_down(struct peer_deaths *deaths, const struct peer_death *death,
			     bool synced);
/* What the snapshot does not name has ended in good order. */
void peer_deaths_snapshot_begin(struct peer_deaths *deaths, const struct feed *feed);
void peer_deaths_snapshot_end(struct peer_deaths *deaths, struct feed *feed);
/* The key manager is gone: that says nothing about any peer. */
void peer_deaths_feed_lost(struct peer_deaths *deaths, const struct feed *feed);

#endif
