/* SPDX-License-Identifier: BSD-2-Clause */
/* The SPD and the devices of each network namespace that choice.h was asked about. */
#include <stdlib.h>

#include <unistd.h>

#include "latchd/choice/choice_parts.h"

struct choice_space *choice_find(const struct choice *choice, uint64_t netns)
{
	struct choice_space *space;

	HASH_FIND(hh, choice->spaces, &netns, sizeof(netns), space);
	return space;
}

struct choice_space *choice_space_get(struct choice *choice, uint64_t netns)
{
	struct choice_space *space = choice_find(choice, netns);

	if (space)
		return space;
	space = calloc(1, sizeof(*space));
	if (!space)
		return NULL;
	space->choice = choice;
	space->netns = netns;
	space->links = -1;
	space->stale = space->table.unreadable = true;
	HASH_ADD(hh, choice->spaces, netns, sizeof(space->netns), space);
	return space;
}

void choice_space_stop_links(struct choice_space *space)
{
	if (space->links < 0)
		return;
	loop_fd_remove(space->choice->loop, space->links);
	close(space->links);
	space->links = -1;
}

void choice_space_remove(struct choice *choice, struct choice_space *space)
{
	choice_space_stop_links(space);
	choice_table_release(&space->table);
	removed_policies_release(&space->removed);
	HASH_DELETE(hh, choice->spaces, space);
	free(space);
}
