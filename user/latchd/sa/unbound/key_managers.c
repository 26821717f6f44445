/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/key_managers.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "common/loop.h"

struct key_manager *key_managers_find(const struct key_managers *key_managers,
				      const struct feed *feed)
{
	struct key_manager *key_manager;

	LL_SEARCH_SCALAR(key_managers->first, key_manager, feed, feed);
	return key_manager;
}

int key_managers_attach(struct key_managers *key_managers, struct feed *feed, uint64_t netns)
{
	struct key_manager *key_manager = key_managers_find(key_managers, feed);

	if (!key_manager) {
		key_manager = calloc(1, sizeof(*key_manager));
		if (!key_manager)
			return -ENOMEM;
		key_manager->feed = feed;
		LL_PREPEND(key_managers->first, key_manager);
	}
	key_manager->netns = netns;
	key_manager->attached_ms = loop_now_ms();
	key_manager->away = false;
	key_manager->synced = false;
	return 0;
}

void key_managers_detach(struct key_managers *key_managers, const struct feed *feed)
{
	struct key_manager *key_manager = key_managers_find(key_managers, feed);

	if (!key_manager)
		return;
	LL_DELETE(key_managers->first, key_manager);
	free(key_manager);
}

void key_managers_clear(struct key_managers *key_managers)
{
	struct key_manager *key_manager, *next;

	LL_FOREACH_SAFE(key_managers->first, key_manager, next)
	{
		free(key_manager);
	}
	key_managers->first = NULL;
}

bool key_managers_serve(const struct key_managers *key_managers, uint64_t netns)
{
	const struct key_manager *key_manager;

	LL_SEARCH_SCALAR(key_managers->first, key_manager, netns, netns);
	return key_manager;
}

bool key_managers_are_synced(const struct key_managers *key_managers, uint64_t netns)
{
	const struct key_manager *key_manager;
	bool found = false;

	LL_FOREACH(key_managers->first, key_manager)
	{
		if (key_manager->netns == netns && !key_manager->synced)
			return false;
		found = found || key_manager->netns == netns;
	}
	return found;
}

bool key_managers_have_listed(const struct key_managers *key_managers, uint64_t netns)
{
	const struct key_manager *key_manager;
	bool found = false;

	LL_FOREACH(key_managers->first, key_manager)
	{
		if (key_manager->netns != netns || key_manager->away)
			continue;
		if (!key_manager->synced)
			return false;
		found = true;
	}
	return found;
}

bool key_managers_list_soon(const struct key_managers *key_managers, uint64_t netns,
			    uint64_t within_ms)
{
	const struct key_manager *key_manager;

	LL_FOREACH(key_managers->first, key_manager)
	{
		if (key_manager->netns == netns && !key_manager->away && !key_manager->synced &&
		    loop_now_ms() - key_manager->attached_ms < within_ms)
			return true;
	}
	return false;
}

void key_managers_resync(const struct key_managers *key_managers, uint64_t netns)
{
	struct key_manager *key_manager;

	LL_FOREACH(key_managers->first, key_manager)
	{
		if (key_manager->netns == netns && key_manager->synced)
			key_manager->feed->resync(key_manager->feed);
	}
}

void key_managers_retry_lists(const struct key_managers *key_managers)
{
	struct key_manager *key_manager;

	LL_FOREACH(key_managers->first, key_manager)
	{
		if (!key_manager->list_failed)
			continue;
		key_manager->list_failed = false;
		key_manager->feed->resync(key_manager->feed);
	}
}
