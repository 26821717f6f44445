/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/decision_memory.h"

#include <string.h>

uint64_t vici_name_of_connection(const struct vici_memory *memory, struct vici_text config_name)
{
	return keyed_hash(&memory->key, config_name.at, config_name.length);
}

/* A connection's name has no NUL, so different pairs have different bytes. */
uint64_t vici_name_of_peer(const struct vici_memory *memory, const struct feed_peer *peer)
{
	char both[FEED_NAME_MAX + FEED_ID_MAX];
	size_t config = strlen(peer->config_name) + 1, id = strlen(peer->id);

	memcpy(both, peer->config_name, config);
	memcpy(both + config, peer->id, id);
	return keyed_hash(&memory->key, both, config + id);
}
