/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/downs.h"

#include <string.h>

#include "common/loop.h"

void vici_downs_init(struct vici_downs *downs)
{
	memset(downs, 0, sizeof(*downs));
	downs->contact_ms = VICI_CONTACT_MS;
}

void vici_downs_reset(struct vici_downs *downs)
{
	memset(downs->latest, 0, sizeof(downs->latest));
	downs->next = 0;
}

void vici_downs_add(struct vici_downs *downs, const struct feed_peer *peer, bool may_be_contact)
{
	downs->latest[downs->next] = (struct vici_down){*peer, may_be_contact, loop_now_ms()};
	downs->next = (downs->next + 1) % VICI_DOWNS_MAX;
}

bool vici_downs_contain(const struct vici_downs *downs, uint32_t ike_unique_id)
{
	size_t i;

	for (i = 0; i < VICI_DOWNS_MAX; i++)
		if (downs->latest[i].peer.ike_unique_id == ike_unique_id)
			return true;
	return false;
}

static bool is_replaced_by(const struct vici_downs *downs, const struct feed_peer *peer,
			   const struct vici_down *down)
{
	return down->may_be_contact && loop_now_ms() - down->at_ms <= downs->contact_ms &&
	       feed_peer_equal(&down->peer, peer);
}

void vici_downs_report_rebooted(struct vici_downs *downs, const struct feed_peer *peer,
				vici_down_fn report, void *context)
{
	size_t i;

	for (i = 0; i < VICI_DOWNS_MAX; i++) {
		struct vici_down *down = &downs->latest[i];

		if (!is_replaced_by(downs, peer, down))
			continue;
		down->may_be_contact = false;
		down->peer.successor = peer->ike_unique_id;
		report(context, &down->peer, FEED_DOWN_PEER_REBOOTED);
	}
}
