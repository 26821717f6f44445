/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_state.h"

/* Without a free place the entries are not removed early, but expire. */
void spd_state_set_held(struct spd_watch *watch, uint64_t netns, bool held)
{
	size_t i;

	for (i = 0; i < watch->held_count && watch->held[i] != netns; i++)
		;
	if (held && i == watch->held_count && i < SPD_HELD_MAX)
		watch->held[watch->held_count++] = netns;
	else if (!held && i < watch->held_count)
		watch->held[i] = watch->held[--watch->held_count];
}
