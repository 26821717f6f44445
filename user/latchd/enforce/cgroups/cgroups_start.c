/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroups.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/cgroup_programs.h"
#include "latchd/enforce/cgroups/cgroup_table.h"

/* ---- cgroups of an earlier configuration */

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
	return cgroup_list_links(cgroups, cgroup);
}

/* Some directory of the hierarchy: the path, or what is above it. */
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
 * One that is not found keeps its programs: it may be removed and have sockets, or be where latchd
 * does not see it.
 */
static void find_paths(struct cgroups *cgroups)
{
	struct search search = {.cgroups = cgroups};
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		search.left += !cgroups->listed[i]->configured;
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

/* The path of a removed one that is listed already may have another cgroup by now. */
int cgroups_list_formers(struct cgroups *cgroups)
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

/* ---- start */

static int fail_open(const struct cgroup *cgroup, int err, struct failure *failure)
{
	return failure_set(failure, err,
			   "cgroup %s: cannot open it: %s; correct cgroup = in [enforce]",
			   cgroup->path, strerror(-err));
}

/* The configuration is wrong; other errors may pass. */
static bool is_fault(int err)
{
	return err == -ENOTDIR || err == -ELOOP || err == -ENAMETOOLONG || err == -EOPNOTSUPP;
}

static int open_one(struct cgroups *cgroups, struct cgroup *cgroup)
{
	int fd = cgroup_open(cgroup->path, &cgroup->id), err;

	cgroup->links.cgroup_fd = -1;
	cgroup->unreadable = fd < 0 && fd != -ENOENT;
	if (fd < 0) {
		cgroup->id = 0;
		cgroup->state = cgroup->unreadable ? CGROUP_FAILED : CGROUP_ABSENT;
		if (cgroup->unreadable && !is_fault(fd))
			cgroup_programs_log(cgroup, fd, "has no new programs: cannot open it",
					    strerror(-fd));
		return is_fault(fd) ? fd : 0;
	}
	err = cgroup_list_links(cgroups, cgroup);
	cgroup->links.cgroup_fd = fd;
	cgroup->state = CGROUP_ATTACHED;
	return err;
}

/* The links get a descriptor, which close_all() closes. */
static int open_configured(struct cgroups *cgroups, struct failure *failure)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < cgroups->count; i++) {
		err = open_one(cgroups, cgroups->listed[i]);
		if (err)
			fail_open(cgroups->listed[i], err, failure);
	}
	return err;
}

static void open_formers(struct cgroups *cgroups)
{
	uint64_t id;
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (!cgroup->configured && cgroup->path[0])
			cgroup->links.cgroup_fd = cgroup_open(cgroup->path, &id);
	}
}

static void close_all(struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		struct links *links = &cgroups->listed[i]->links;

		if (links->cgroup_fd >= 0)
			close(links->cgroup_fd);
		links->cgroup_fd = -1;
	}
}

static void cover_configured(struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->configured && cgroup->state == CGROUP_ATTACHED &&
		    cgroup_cover(cgroups, cgroup, cgroup->links.cgroup_fd))
			cgroup->state = CGROUP_COVERED;
	}
}

static int attach_sets(struct cgroups *cgroups, struct links *functions, struct failure *failure)
{
	struct links *sets[LISTED_MAX + 1] = {functions};
	size_t count = 1, i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroup_has_programs(cgroups->listed[i]))
			sets[count++] = &cgroups->listed[i]->links;
	return links_attach(sets, count, failure);
}

static void log_start(const struct cgroup *cgroup)
{
	switch (cgroup->state) {
	case CGROUP_ABSENT:
		log_warn("enforce", "cgroup %s absent: its sockets are latched when it comes",
			 cgroup->path);
		break;
	case CGROUP_COVERED:
		log_info("enforce", "cgroup %s covered: a cgroup above it has the programs",
			 cgroup->path);
		break;
	case CGROUP_FORMER:
		log_warn("enforce",
			 "cgroup %s (id %" PRIu64 ") keeps its programs: it is no longer "
			 "configured, and connections are latched, or its path is unknown; to "
			 "end them: latchctl purge",
			 cgroup_name(cgroup), cgroup->id);
		break;
	case CGROUP_ATTACHED:
	case CGROUP_FAILED:
	case CGROUP_REMOVED:
		break;
	}
}

/* A covered cgroup may have pins of an earlier latchd. */
static void end_needless(struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->configured && cgroup->state == CGROUP_COVERED)
			cgroup_programs_release(cgroups, cgroup);
	}
	links_sweep(cgroups->object);
	cgroups_check(cgroups);
	for (i = 0; i < cgroups->count; i++)
		log_start(cgroups->listed[i]);
}

/* A set in work has three descriptors a link: many cgroups have more than the usual soft limit. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int cgroups_attach(struct cgroups *cgroups, struct links *functions, struct failure *failure)
{
	int err;

	raise_descriptor_limit();
	err = open_configured(cgroups, failure);
	if (!err) {
		err = links_adopt_names(cgroups->object);
		if (!err)
			err = cgroups_list_formers(cgroups);
		if (err)
			failure_set(
				failure, err,
				"pins: cannot read the links in /sys/fs/bpf: %s; check its mount",
				strerror(-err));
	}
	if (!err) {
		open_formers(cgroups);
		cover_configured(cgroups);
		err = attach_sets(cgroups, functions, failure);
	}
	close_all(cgroups);
	if (!err)
		end_needless(cgroups);
	return err;
}
