/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
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

_Static_assert(LATCH_WISH_COVERS == CONFIG_MAX_CGROUPS, "all configured cgroups");

/* The path may lead by a link or another mount, or to another cgroup by now. */
static bool may_be_deep(const struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup_open(cgroup->path, &id);
	int level = fd >= 0 && id == cgroup->id ? cgroup_level(fd) : -ENOENT;

	return level < 0 || level >= LATCH_CGROUP_LEVELS;
}

/*
 * A socket stays in the cgroup where it was made. Below a configured cgroup it has programs there,
 * once this one loses them.
 */
static int find_wish(struct cgroups *cgroups, const struct cgroup *cgroup)
{
	struct latch_wish_search search = {.cgroup = cgroup->id, .is_deep = may_be_deep(cgroup)};
	size_t i, used = 0;
	int found;

	for (i = 0; i < cgroups->count && used < LATCH_WISH_COVERS; i++)
		if (cgroups->listed[i]->configured && cgroups->listed[i]->id)
			search.covered[used++] = cgroups->listed[i]->id;
	walk_pace_begin(&cgroups->searches);
	found = wishes_find(cgroups->maps, &search);
	walk_pace_end(&cgroups->searches);
	return found;
}

bool cgroup_is_needed(struct cgroups *cgroups, const struct cgroup *cgroup)
{
	return latches_walk(cgroups->maps, find_connection, NULL) != 0 ||
	       find_wish(cgroups, cgroup) != 0;
}
