/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IKE_SAs that went down last. Finds the IKE_SAs among them that
 * INITIAL_CONTACT has ended.
 *
 * charon deletes such an IKE_SA while it answers the peer's IKE_AUTH, and reports
 * the new IKE_SA immediately after. An IKE_SA also goes down without a task after
 * a message that charon could not parse. The proof of a reboot is a new IKE_SA of
 * the same identity, with the peer as initiator, within VICI_CONTACT_MS.
 */
#ifndef LATCHD_FEEDS_VICI_ENDED_H
#define LATCHD_FEEDS_VICI_ENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"

#define VICI_ENDED_MAX	64
#define VICI_CONTACT_MS 5000 /* from the old IKE_SA's event to the new one's, on a busy charon */

struct vici_ended_ike_sa {
	struct feed_peer peer;
	bool may_be_contact; /* INITIAL_CONTACT may have ended the IKE_SA */
	uint64_t at_ms;	     /* loop_now_ms() */
};

struct vici_ended_ike_sas {
	struct vici_ended_ike_sa latest[VICI_ENDED_MAX]; /* ike_unique_id 0: unused */
	size_t next;
	uint64_t contact_ms;
};

typedef void (*vici_ended_fn)(void *context, const struct feed_peer *peer,
			      enum feed_down_cause cause);

void vici_ended_init(struct vici_ended_ike_sas *ended);
void vici_ended_reset(struct vici_ended_ike_sas *ended);
void vici_ended_add(struct vici_ended_ike_sas *ended, const struct feed_peer *peer,
		    bool may_be_contact);
/* One charon never reuses a unique id. */
bool vici_ended_contain(const struct vici_ended_ike_sas *ended, uint32_t ike_unique_id);
/* peer has just set up an IKE_SA: reports each IKE_SA that it has replaced as rebooted. */
void vici_ended_report_rebooted(struct vici_ended_ike_sas *ended, const struct feed_peer *peer,
				vici_ended_fn report, void *context);

#endif
