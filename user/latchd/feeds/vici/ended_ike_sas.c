/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/ended_ike_sas.h"

#include <string.h>

#include "common/loop.h"

void vici_ended_init(struct vici_ended_ike_sas *ended)
{
	memset(ended, 0, sizeof(*ended));
	ended->contact_ms = VICI_CONTACT_MS;
}

void vici_ended_reset(struct vici_ended_ike_sas *ended)
{
	memset(ended->latest, 0, sizeof(ended->latest));
	ended->next = 0;
}

void vici_ended_add(struct vici_ended_ike_sas *ended, const struct feed_peer *peer,
		    bool may_be_contact)
{
	ended->latest[ended->next] =
		(struct vici_ended_ike_sa){*peer, may_be_contact, loop_now_ms()};
	ended->next = (ended->next + 1) % VICI_ENDED_MAX;
}

bool vici_ended_contain(const struct vici_ended_ike_sas *ended, uint32_t ike_unique_id)
{
	size_t i;

	for (i = 0; i < VICI_ENDED_MAX; i++)
		if (ended->latest[i].peer.ike_unique_id == ike_unique_id)
			return true;
	return false;
}

static bool is_replaced_by(const struct vici_ended_ike_sas *ended, const struct feed_peer *peer,
			   const struct vici_ended_ike_sa *ike_sa)
{
	return ike_sa->may_be_contact && loop_now_ms() - ike_sa->at_ms <= ended->contact_ms &&
	       feed_peer_equal(&ike_sa->peer, peer);
}

void vici_ended_report_rebooted(struct vici_ended_ike_sas *ended, const struct feed_peer *peer,
				vici_ended_fn report, void *context)
{
	size_t i;

	for (i = 0; i < VICI_ENDED_MAX; i++) {
		struct vici_ended_ike_sa *ike_sa = &ended->latest[i];

		if (!is_replaced_by(ended, peer, ike_sa))
			continue;
		ike_sa->may_be_contact = false;
		ike_sa->peer.successor = peer->ike_unique_id;
		report(context, &ike_sa->peer, FEED_DOWN_PEER_REBOOTED);
	}
}
