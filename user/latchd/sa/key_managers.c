/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/key_managers.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

struct keeper *keepers_find(const struct keepers *keepers, const struct feed *feed)
{
	struct keeper *keeper;

	LL_SEARCH_SCALAR(keepers->first, keeper, feed, feed);
	return keeper;
}

int keepers_attach(struct keepers *keepers, struct feed *feed, uint64_t netns)
{
	struct keeper *keeper = keepers_find(keepers, feed);

	if (!keeper) {
		keeper = calloc(1, sizeof(*keeper));
		if (!keeper)
			return -ENOMEM;
		keeper->feed = feed;
		LL_PREPEND(keepers->first, keeper);
	}
	keeper->netns = netns;
	keeper->synced = false;
	return 0;
}

void keepers_clear(struct keepers *keepers)
{
	struct keeper *keeper, *next;

	LL_FOREACH_SAFE(keepers->first, keeper, next)
	{
		free(keeper);
	}
	keepers->first = NULL;
}

bool keepers_serve(const struct keepers *keepers, uint64_t netns)
{
	const struct keeper *keeper;

	LL_SEARCH_SCALAR(keepers->first, keeper, netns, netns);
	return keeper;
}

bool keepers_are_synced(const struct keepers *keepers, uint64_t netns)
{
	const struct keeper *keeper;
	bool found = false;

	LL_FOREACH(keepers->first, keeper)
	{
		if (keeper->netns == netns && !keeper->synced)
			return false;
		found = found || keeper->netns == netns;
	}
	return found;
}

void keepers_resync(const struct keepers *keepers, uint64_t netns)
{
	struct keeper *keeper;

	LL_FOREACH(keepers->first, keeper)
	{
		if (keeper->netns == netns && keeper->synced)
			keeper->feed->resync(keeper->feed);
	}
}
