/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_formers.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"

static int add_former(void *context, uint64_t id)
{
	struct cgroups *cgroups = context;
	struct cgroup *cgroup;

	if (cgroup_table_find(cgroups, id))
		return 0;
	cgroup = cgroup_table_add(cgroups, "", false);
	if (!cgroup)
		return cgroups->count == LISTED_MAX ? 0 : -ENOMEM;
	cgroup->id = id;
	cgroup->state = CGROUP_FORMER;
	return cgroup_list_gates(cgroups, cgroup);
}

/* Opens a directory of the hierarchy: the path, or the nearest directory above it. */
static int open_above(const char *of)
{
	char path[CONFIG_CGROUP_MAX];
	uint64_t id;
	int fd = -ENOENT;
	char *slash = path;

	strcpy(path, of);
	while (fd < 0 && slash && path[0]) {
		fd = cgroup_open(path, &id);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	}
	return fd;
}

static int open_any(const struct cgroups *cgroups)
{
	int fd = -ENOENT;
	size_t i;

	for (i = 0; fd < 0 && i < cgroups->count && cgroups->listed[i]->configured; i++)
		fd = open_above(cgroups->listed[i]->path);
	return fd;
}

struct search {
	struct cgroups *cgroups;
	size_t left;
};

#define FOUND_ALL 1

static int note_path(void *context, const char *path, uint64_t id)
{
	struct search *search = context;
	struct cgroup *cgroup = cgroup_table_find(search->cgroups, id);

	if (!cgroup || cgroup->configured || cgroup->path[0] ||
	    text_copy(cgroup->path, sizeof(cgroup->path), path) < 0)
		return 0;
	return --search->left ? 0 : FOUND_ALL;
}

/*
 * A cgroup that is not found keeps its programs. It may be removed and still have sockets, or be
 * outside of latchd's view.
 */
static void find_paths(struct cgroups *cgroups)
{
	struct search search = {.cgroups = cgroups};
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		search.left += !cgroups->listed[i]->configured && !cgroups->listed[i]->path[0];
	if (search.left) {
		auto_close int fd = open_any(cgroups);

		if (fd >= 0)
			cgroup_walk(fd, note_path, &search);
	}
}

static bool is_below_configured(const struct cgroups *cgroups, const struct cgroup *former)
{
	uint64_t id;
	auto_close int fd = former->path[0] ? cgroup_open(former->path, &id) : -1;
	size_t i;

	for (i = 0; fd >= 0 && i < cgroups->count; i++)
		if (cgroups->listed[i]->configured && cgroup_has_programs(cgroups->listed[i]) &&
		    cgroup_is_within(fd, cgroups->listed[i]->id) > 0)
			return true;
	return false;
}

/* Checks the paths of new entries only: another cgroup may have the path of an entry that was
 * listed before. */
int cgroup_formers_list(struct cgroups *cgroups)
{
	size_t i = cgroups->count;
	int err = links_walk_cgroups(cgroups->object, add_former, cgroups);

	if (err)
		return err;
	find_paths(cgroups);
	for (; i < cgroups->count; i++)
		if (is_below_configured(cgroups, cgroups->listed[i]))
			cgroups->listed[i]->state = CGROUP_COVERED;
	return 0;
}
