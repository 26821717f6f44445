/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/served.h"

#include <bpf/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "latch_abi.h"

static bool are_all_seen(const uint64_t *netns, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!netns[i])
			return false;
	return count > 0;
}

int served_write(const struct kernel_maps *maps, const uint64_t *netns, size_t count)
{
	struct latch_settings settings;
	__u32 key = 0;
	int err = bpf_map_lookup_elem(maps->settings, &key, &settings);
	size_t i;

	if (err)
		return err;
	settings.all_feeds_seen = are_all_seen(netns, count);
	if (settings.all_feeds_seen)
		memset(settings.served, 0, sizeof(settings.served));
	for (i = 0; i < count && i < LATCH_FEEDS_MAX; i++)
		if (netns[i])
			settings.served[i] = netns[i];
	return bpf_map_update_elem(maps->settings, &key, &settings, BPF_ANY);
}
