/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroup_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"
#include "latchd/enforce/cgroup_paths.h"
#include "latchd/maps/tables.h"

struct cgroup *cgroup_table_add(struct cgroups *cgroups, const char *path, bool configured)
{
	struct cgroup *cgroup = cgroups->count < LISTED_MAX ? calloc(1, sizeof(*cgroup)) : NULL;

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

int cgroup_list_links(const struct cgroups *cgroups, struct cgroup *cgroup)
{
	return links_list(cgroups->object, LINKS_OF_CGROUP, cgroup->id, cgroup->path,
			  &cgroup->links);
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

		if (other != cgroup && cgroup_has_programs(other) && cgroup_is_within(fd, other->id) > 0)
			return other;
	}
	return NULL;
}

const char *cgroup_name(const struct cgroup *cgroup)
{
	return cgroup->path[0] ? cgroup->path : "of an unknown path";
}

/* ---- connections that need their gate */

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

bool cgroups_have_connections(const struct cgroups *cgroups)
{
	return latches_walk(cgroups->maps, find_connection, NULL) != 0;
}

/* ---- cgroups.h */

struct cgroups *cgroups_new(const struct bpf_object *object, const struct kernel_maps *maps,
			    const struct config *config, const char *root)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	bool added = cgroups;
	size_t i;

	if (!cgroups)
		return NULL;
	cgroups->object = object;
	cgroups->maps = maps;
	if (!config->cgroup_count)
		added = cgroup_table_add(cgroups, root, true);
	for (i = 0; added && i < config->cgroup_count; i++)
		added = cgroup_table_add(cgroups, config->cgroups[i], true);
	if (added)
		return cgroups;
	cgroups_free(cgroups);
	return NULL;
}

void cgroups_free(struct cgroups *cgroups)
{
	while (cgroups && cgroups->count)
		cgroup_table_forget(cgroups, cgroups->count - 1);
	free(cgroups);
}

size_t cgroups_list(const struct cgroups *cgroups, struct cgroup_entry *entries, size_t max)
{
	size_t i;

	for (i = 0; i < cgroups->count && i < max; i++)
		entries[i] = (struct cgroup_entry){
			.path = cgroups->listed[i]->path,
			.id = cgroups->listed[i]->id,
			.state = cgroups->listed[i]->state,
		};
	return cgroups->count;
}

static bool has_program(const struct links *links, const char *name)
{
	size_t i;

	for (i = 0; i < links->count; i++)
		if (!strcmp(links->link[i].name, name))
			return links_link_is_attached(links, &links->link[i]);
	return false;
}

bool cgroups_have_program(const struct cgroups *cgroups, const char *name)
{
	bool any = false;
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		const struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->state == CGROUP_FAILED)
			return false;
		if (cgroup_has_programs(cgroup) && !has_program(&cgroup->links, name))
			return false;
		any |= cgroup_has_programs(cgroup);
	}
	return any;
}

/* The kernel has no call for this, but the root of a cgroup hierarchy always has inode 1. */
#define CGROUP_ROOT_INO 1

bool cgroups_have_root(const struct cgroups *cgroups)
{
	struct stat st;
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i]->configured && !stat(cgroups->listed[i]->path, &st) &&
		    st.st_ino == CGROUP_ROOT_INO)
			return true;
	return false;
}

const char *cgroup_state_name(enum cgroup_state state)
{
	static const char *const names[] = {
		[CGROUP_ABSENT] = "absent",   [CGROUP_ATTACHED] = "attached",
		[CGROUP_COVERED] = "covered", [CGROUP_FAILED] = "failed",
		[CGROUP_FORMER] = "former",   [CGROUP_REMOVED] = "removed",
	};

	return names[state];
}
