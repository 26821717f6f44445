/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The network namespaces in which a new flow waits for the owner of its SA: those that a key
 * manager serves. Until each feed was seen, it waits in all of the host's user namespace, too.
 */
#include "gate/pending_limit.h"

/* A global function, as check_packet(). */
__noinline int is_served(__u64 netns, int foreign)
{
	struct latch_settings *s = settings_get();

	if (!s || (!s->all_feeds_seen && !foreign))
		return 1;
	for (int i = 0; i < LATCH_FEEDS_MAX; i++)
		if (s->served[i] == netns)
			return 1;
	return 0;
}
