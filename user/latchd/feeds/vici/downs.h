/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IKE_SAs that went down last, and which of them INITIAL_CONTACT has ended.
 *
 * charon takes such an IKE_SA down while it answers the peer's IKE_AUTH, and
 * reports the new IKE_SA in the same breath. An IKE_SA that went down with no
 * task at all may also have met a message that charon could not parse: only the
 * new IKE_SA of the same identity, with the peer as initiator and right after,
 * is the proof.
 */
#ifndef LATCHD_FEEDS_VICI_DOWNS_H
#define LATCHD_FEEDS_VICI_DOWNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"

#define VICI_DOWNS_MAX	64
#define VICI_CONTACT_MS 5000 /* a busy charon's longest breath */

struct vici_down {
	struct feed_peer peer;
	bool unexplained; /* it may have been INITIAL_CONTACT */
	uint64_t at_ms;	  /* loop_now_ms() */
};

struct vici_downs {
	struct vici_down latest[VICI_DOWNS_MAX]; /* ike_unique_id 0: a free place */
	size_t next;
	uint64_t contact_ms;
};

typedef void (*vici_down_fn)(void *context, const struct feed_peer *peer,
			     enum feed_down_cause cause);

void vici_downs_init(struct vici_downs *downs);
void vici_downs_reset(struct vici_downs *downs);
void vici_downs_add(struct vici_downs *downs, const struct feed_peer *peer, bool unexplained);
/* Unique ids are never used twice by one charon. */
bool vici_downs_have(const struct vici_downs *downs, uint32_t ike_unique_id);
/* peer has just set up an IKE_SA: tells each that it has thereby replaced, as rebooted. */
void vici_downs_explain(struct vici_downs *downs, const struct feed_peer *peer, vici_down_fn tell,
			void *context);

#endif
