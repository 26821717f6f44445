/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/auth_parts.h"

#include <string.h>

struct vici_auth_entry **vici_auth_bucket(struct vici_auth *auth, const char *config_name)
{
	uint32_t hash = 2166136261u;

	for (; *config_name; config_name++)
		hash = (hash ^ (uint8_t)*config_name) * 16777619u;
	return &auth->buckets[hash % VICI_AUTH_BUCKETS];
}

struct vici_auth_entry *vici_auth_entry(const struct vici_auth *auth, const char *config_name)
{
	struct vici_auth_entry *entry;

	entry = *vici_auth_bucket((struct vici_auth *)auth, config_name);
	while (entry && strcmp(entry->config_name, config_name))
		entry = entry->next;
	return entry;
}
