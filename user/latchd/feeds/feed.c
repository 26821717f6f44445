/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/feed.h"

#include <string.h>

bool feed_key_equal(const struct feed_key *key, const struct feed_key *other)
{
	return key->known == other->known &&
	       (!key->known || !memcmp(key->sha256, other->sha256, sizeof(key->sha256)));
}

bool feed_peer_equal(const struct feed_peer *peer, const struct feed_peer *other)
{
	return peer->auth == other->auth && !strcmp(peer->config_name, other->config_name) &&
	       !strcmp(peer->id, other->id) && feed_key_equal(&peer->key, &other->key);
}

const char *feed_auth_name(enum feed_auth auth)
{
	switch (auth) {
	case FEED_AUTH_UNKNOWN:
		return "unknown";
	case FEED_AUTH_PUBKEY:
		return "pubkey";
	case FEED_AUTH_PSK:
		return "psk";
	case FEED_AUTH_EAP:
		return "eap";
	case FEED_AUTH_XAUTH:
		return "xauth";
	case FEED_AUTH_NULL:
		return "null";
	}
	return "unknown";
}

const char *feed_mode_name(enum feed_mode mode)
{
	switch (mode) {
	case FEED_MODE_TRANSPORT:
		return "transport";
	case FEED_MODE_TUNNEL:
		return "tunnel";
	case FEED_MODE_BEET:
		return "beet";
	case FEED_MODE_OTHER:
		return "other";
	}
	return "other";
}

const char *feed_state_name(enum feed_state state)
{
	switch (state) {
	case FEED_STATE_ABSENT:
		return "absent";
	case FEED_STATE_CONNECTED:
		return "connected";
	case FEED_STATE_SYNCED:
		return "synced";
	case FEED_STATE_LOST:
		return "lost";
	}
	return "lost";
}

void feed_child_release(struct feed_child *child)
{
	traffic_selector_set_release(&child->local_ts);
	traffic_selector_set_release(&child->remote_ts);
}
