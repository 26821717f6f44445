/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What charon's alerts say of the end of an IKE_SA (strongSwan 6.0.3 and later).
 *
 * charon sends the alert "retransmit-send-timeout" in the thread that ends the IKE_SA, before its
 * ike-updown event. In between it may look up the name of the peer's host (ike_sa.c,
 * reestablish()), as long as its resolver takes without an uplink. "unique-replace" names an IKE_SA
 * that charon is about to delete, because its peer has authenticated again. Any host can cause most
 * other alerts. They decide nothing, and none of them is kept.
 */
#ifndef LATCHD_FEEDS_VICI_ALERTS_H
#define LATCHD_FEEDS_VICI_ALERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/vici/children.h"
#include "latchd/feeds/vici/message.h"

#define VICI_ALERTS_MAX 256    /* of each kind: the peers of a hub that has lost its uplink */
#define VICI_ALERT_MS	120000 /* from the alert to the ike-updown event */

struct vici_alert {
	uint32_t ike_unique_id; /* 0: unused */
	uint64_t at_ms;		/* loop_now_ms() */
	bool closed;		/* the event of the IKE_SA's end has arrived */
	bool matches;		/* ... within VICI_ALERT_MS */
	bool taken;		/* may be replaced */
};

struct vici_alert_list {
	struct vici_alert latest[VICI_ALERTS_MAX];
	size_t next;
	bool lost; /* an alert was replaced by later ones before it was taken */
};

struct vici_alerts {
	bool complete;	/* charon sends them: an absent alert says something */
	uint64_t since; /* ... of events with a higher number */
	struct vici_alert_list timeouts, replaced;
};

void vici_alerts_reset(struct vici_alerts *alerts);

/* charon has confirmed all registrations. number: of the last event before that. */
void vici_alerts_complete(struct vici_alerts *alerts, uint64_t number);

/* An alert, on its arrival. */
void vici_alerts_note(struct vici_alerts *alerts, struct vici_span message);

/* An ike-updown event that reports IKE_SAs as down, on its arrival. It may be handled much later.
 */
void vici_alerts_note_down(struct vici_alerts *alerts, struct vici_span message);

/* What the alerts say of an IKE_SA that the event of this number reports as down. The same when it
 * is asked again. */
enum vici_named_cause vici_alerts_take(struct vici_alerts *alerts, const struct vici_ike_sa *ike_sa,
				       uint64_t number);

#endif
