/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/served.h"

#include <bpf/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "latch_abi.h"

static bool are_all_there(const uint64_t *netns, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!netns[i])
			return false;
	return count > 0;
}

static bool contains(const uint64_t *netns, size_t count, uint64_t wanted)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (netns[i] == wanted)
			return true;
	return false;
}

static __u64 *place_of(struct latch_settings *settings, uint64_t netns)
{
	size_t i;

	for (i = 0; i < LATCH_FEEDS_MAX; i++)
		if (settings->served[i] == netns)
			return &settings->served[i];
	return NULL;
}

/* A free place, or the place of a namespace without a feed: there are enough. */
static __u64 *place_for(struct latch_settings *settings, const uint64_t *netns, size_t count)
{
	__u64 *place = place_of(settings, 0);
	size_t i;

	for (i = 0; i < LATCH_FEEDS_MAX && !place; i++)
		if (!contains(netns, count, settings->served[i]))
			place = &settings->served[i];
	return place;
}

/* A namespace keeps its place, since the gates read the list at any time. */
static void add(struct latch_settings *settings, const uint64_t *netns, size_t count)
{
	__u64 *place;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!netns[i] || place_of(settings, netns[i]))
			continue;
		place = place_for(settings, netns, count);
		if (place)
			*place = netns[i];
	}
}

static void remove_others(struct latch_settings *settings, const uint64_t *netns, size_t count)
{
	size_t i;

	for (i = 0; i < LATCH_FEEDS_MAX; i++)
		if (!contains(netns, count, settings->served[i]))
			settings->served[i] = 0;
}

int served_write(const struct kernel_maps *maps, const uint64_t *netns, size_t count)
{
	struct latch_settings settings;
	__u32 key = 0;
	int err = bpf_map_lookup_elem(maps->settings, &key, &settings);

	if (err)
		return err;
	settings.all_feeds_seen = are_all_there(netns, count);
	if (settings.all_feeds_seen)
		remove_others(&settings, netns, count);
	add(&settings, netns, count);
	return bpf_map_update_elem(maps->settings, &key, &settings, BPF_ANY);
}
