/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peers that are known to be dead or to have rebooted, and the break of their latches. A reboot
 * breaks no latch under a later IKE_SA of the peer.
 */
#ifndef LATCHD_SA_PEERS_DEAD_PEERS_H
#define LATCHD_SA_PEERS_DEAD_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/sa/conflict/conflict.h"

struct peer_death_report {
	struct feed *feed;
	uint64_t netns; /* cookie */
	struct feed_peer peer;
	enum feed_down_cause cause;
};

struct dead_peer_key {
	uint32_t peer_id;
	uint32_t cause;
};

struct dead_peer {
	struct peer_death_report report;
	uint64_t reported_ns;	  /* CLOCK_BOOTTIME: later latches began after the peer's return */
	bool snapshot_begun;	  /* since the report */
	struct dead_peer_key key; /* while dead_peers_break() runs */
	bool has_child;		  /* the rebooted peer has a CHILD_SA again */
	uint64_t child_installed_ns; /* ... the oldest one */
	struct dead_peer *next, *prev;
	UT_hash_handle hh;
};

/*
 * Breaks the latches of all in the list due, with one walk over all latches. 0 or a negative errno:
 * some may be left.
 */
int dead_peers_break(const struct conflict_view *view, const struct identities *identities,
		     struct dead_peer *due);

#endif
