/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/maps/tables.h"
#include "latchd/maps/wishes.h"

struct cgroup *cgroup_table_add(struct cgroups *cgroups, const char *path, bool configured)
{
	struct cgroup *cgroup = cgroups->count < LISTED_MAX ? calloc(1, sizeof(*cgroup)) : NULL;

	cgroups->unlisted = cgroups->unlisted || !cgroup;
	if (!cgroup)
		return NULL;
	text_copy(cgroup->path, sizeof(cgroup->path), path);
	cgroup->links.cgroup_fd = -1;
	cgroup->configured = configured;
	cgroups->listed[cgroups->count++] = cgroup;
	return cgroup;
}

void cgroup_table_forget(struct cgroups *cgroups, size_t at)
{
	free(cgroups->listed[at]);
	cgroups->count--;
	memmove(&cgroups->listed[at], &cgroups->listed[at + 1],
		(cgroups->count - at) * sizeof(cgroups->listed[0]));
}

int cgroup_list_gates(const struct cgroups *cgroups, struct cgroup *cgroup)
{
	cgroup->answers = false;
	return links_list(cgroups->object, LINKS_OF_CGROUP, cgroup->id, cgroup->path,
			  &cgroup->links);
}

int cgroup_list_links(const struct cgroups *cgroups, struct cgroup *cgroup)
{
	int err = cgroup_list_gates(cgroups, cgroup);

	return err ? err : links_add_answers(cgroups->object, &cgroup->links);
}

struct cgroup *cgroup_table_find(const struct cgroups *cgroups, uint64_t id)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i]->id == id)
			return cgroups->listed[i];
	return NULL;
}

bool cgroup_has_programs(const struct cgroup *cgroup)
{
	switch (cgroup->state) {
	case CGROUP_ATTACHED:
	case CGROUP_FORMER:
		return !cgroup->ending;
	case CGROUP_ABSENT:
	case CGROUP_COVERED:
	case CGROUP_FAILED:
	case CGROUP_REMOVED:
		break;
	}
	return false;
}

const struct cgroup *cgroup_cover(const struct cgroups *cgroups, const struct cgroup *cgroup,
				  int fd)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		const struct cgroup *other = cgroups->listed[i];

		if (other != cgroup && cgroup_has_programs(other) &&
		    cgroup_is_within(fd, other->id) > 0)
			return other;
	}
	return NULL;
}

const char *cgroup_name(const struct cgroup *cgroup)
{
	return cgroup->path[0] ? cgroup->path : "of an unknown path";
}

/* ---- connections, and wishes for the next ones, that need their gate */

#define FOUND 1

static int find_connection(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	(void)context;
	(void)flow;
	switch ((enum latch_state)latch->word.state) {
	case LATCH_STATE_ESTABLISHED:
	case LATCH_STATE_BROKEN:
	case LATCH_STATE_LARVAL:
	case LATCH_STATE_CLOSED:
		return FOUND;
	case LATCH_STATE_NONE:
	case LATCH_STATE_LISTENER:
		break;
	}
	return 0;
}

struct wish_search {
	const struct cgroups *cgroups;
	const struct cgroup *cgroup;
};

/* Below a configured cgroup, which has programs of its own once this one loses them. */
static bool is_covered(const struct wish_search *search, uint64_t id)
{
	const struct cgroup *below = cgroup_table_find(search->cgroups, id);

	return below && below->configured;
}

/* A socket stays in the cgroup where it was made. */
static int find_wish(void *context, const struct latch_wish_place *place)
{
	const struct wish_search *search = context;
	bool is_within = false;
	size_t i;

	if (!place->cgroups[0])
		return FOUND;
	for (i = 0; i < LATCH_CGROUP_LEVELS && place->cgroups[i]; i++) {
		if (is_within && is_covered(search, place->cgroups[i]))
			return 0;
		is_within = is_within || place->cgroups[i] == search->cgroup->id;
	}
	return is_within ? FOUND : 0;
}

bool cgroup_is_needed(const struct cgroups *cgroups, const struct cgroup *cgroup)
{
	struct wish_search search = {.cgroups = cgroups, .cgroup = cgroup};

	return latches_walk(cgroups->maps, find_connection, NULL) != 0 ||
	       wishes_walk(cgroups->maps, find_wish, &search) != 0;
}
