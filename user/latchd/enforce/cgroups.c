/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/cgroup_paths.h"
#include "latchd/enforce/cgroup_table.h"

/* The old directory's sockets may be left: the kernel detaches the programs after the last. */
static void note_removed(struct cgroups *cgroups, struct cgroup *cgroup)
{
	struct cgroup *removed;

	log_info("enforce", "cgroup %s (id %" PRIu64 ") removed", cgroup->path, cgroup->id);
	removed = links_are_alive(&cgroup->links) ? cgroup_table_add(cgroups, cgroup->path, false)
						  : NULL;
	if (removed) {
		removed->id = cgroup->id;
		removed->state = CGROUP_REMOVED;
		removed->links = cgroup->links;
		removed->links.cgroup = removed->path;
	}
	cgroup->id = 0;
	cgroup->state = CGROUP_ABSENT;
	cgroup->logged = 0;
}

static void log_failed(struct cgroup *cgroup, int err, const char *text)
{
	if (cgroup->logged != err)
		log_error("enforce", "cgroup %s has no programs: %s; trying again", cgroup->path,
			  text);
	cgroup->logged = err;
}

static void attach_one(struct cgroups *cgroups, struct cgroup *cgroup, int fd)
{
	struct links *set = &cgroup->links;
	struct failure failure = {""};
	int err = cgroup_list_links(cgroups, cgroup);

	set->cgroup_fd = fd;
	if (!err)
		err = links_attach(&set, 1, &failure);
	set->cgroup_fd = -1;
	cgroup->state = err ? CGROUP_FAILED : CGROUP_ATTACHED;
	if (err)
		log_failed(cgroup, err, failure.text[0] ? failure.text : strerror(-err));
	else
		log_info("enforce", "cgroup %s (id %" PRIu64 ") has the programs", cgroup->path,
			 cgroup->id);
}

/* Only symbolic links and other mounts get here: the configuration has no cgroup below another. */
static void cover_others(struct cgroups *cgroups, const struct cgroup *above)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];
		uint64_t id;
		auto_close int fd =
			cgroup->configured && cgroup != above && cgroup_has_programs(cgroup)
				? cgroup_open(cgroup->path, &id)
				: -1;

		if (fd < 0 || cgroup_is_within(fd, above->id) <= 0)
			continue;
		cgroup->state = CGROUP_COVERED;
		links_detach(&cgroup->links);
	}
}

static void check_present(struct cgroups *cgroups, struct cgroup *cgroup, int fd)
{
	if (cgroup_cover(cgroups, cgroup, fd)) {
		if (cgroup->state != CGROUP_COVERED)
			log_info("enforce", "cgroup %s covered: a cgroup above it has the programs",
				 cgroup->path);
		cgroup->state = CGROUP_COVERED;
		return;
	}
	attach_one(cgroups, cgroup, fd);
	if (cgroup->state == CGROUP_ATTACHED)
		cover_others(cgroups, cgroup);
}

static void check_configured(struct cgroups *cgroups, struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup_open(cgroup->path, &id);

	if (fd < 0)
		id = 0;
	if (cgroup->id && cgroup->id != id)
		note_removed(cgroups, cgroup);
	if (fd < 0 && fd != -ENOENT)
		log_failed(cgroup, fd, strerror(-fd));
	if (fd < 0 || cgroup->state == CGROUP_ATTACHED)
		return;
	cgroup->id = id;
	check_present(cgroups, cgroup, fd);
}

static void check_all_configured(struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i]->configured)
			check_configured(cgroups, cgroups->listed[i]);
}

static void note_removed_former(struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup->path[0] ? cgroup_open(cgroup->path, &id) : -1;

	if (fd == -ENOENT || (fd >= 0 && id != cgroup->id) ||
	    (!cgroup->path[0] && !links_are_alive(&cgroup->links)))
		cgroup->state = CGROUP_REMOVED;
}

/* A connection may have been latched since the look at the table. */
static void keep_former(struct cgroups *cgroups, struct cgroup *cgroup)
{
	uint64_t id;
	auto_close int fd = cgroup->path[0] ? cgroup_open(cgroup->path, &id) : -1;

	cgroup->ending = fd < 0 || id != cgroup->id;
	if (cgroup->ending)
		return;
	attach_one(cgroups, cgroup, fd);
	if (cgroup->state != CGROUP_ATTACHED)
		return;
	cgroup->state = CGROUP_FORMER;
	cover_others(cgroups, cgroup);
}

/* Covered cgroups get programs of their own before this one's end. */
static void end_former(struct cgroups *cgroups, struct cgroup *cgroup)
{
	cgroup->ending = true;
	check_all_configured(cgroups);
	links_detach(&cgroup->links);
	if (cgroups_have_connections(cgroups))
		keep_former(cgroups, cgroup);
	else
		log_info("enforce",
			 "cgroup %s (id %" PRIu64 ") has no programs any more: no connection is "
			 "latched",
			 cgroup_name(cgroup), cgroup->id);
}

static void check_former(struct cgroups *cgroups, struct cgroup *cgroup)
{
	if (cgroup->state == CGROUP_FORMER)
		note_removed_former(cgroup);
	if (cgroup->state == CGROUP_FORMER && !cgroups_have_connections(cgroups))
		end_former(cgroups, cgroup);
	if (cgroup->state == CGROUP_FAILED)
		keep_former(cgroups, cgroup);
	if (cgroup->state == CGROUP_REMOVED && !links_are_alive(&cgroup->links)) {
		links_detach(&cgroup->links);
		cgroup->ending = true;
	}
}

void cgroups_check(struct cgroups *cgroups)
{
	size_t i;

	check_all_configured(cgroups);
	for (i = cgroups->count; i-- > 0;) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (!cgroup->configured)
			check_former(cgroups, cgroup);
		if (cgroup->ending)
			cgroup_table_forget(cgroups, i);
	}
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
