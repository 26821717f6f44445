/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/cgroup_paths.h"
#include "latchd/enforce/cgroup_table.h"

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

/* Some directory of the hierarchy. */
static int open_any(const struct cgroups *cgroups)
{
	char path[CONFIG_CGROUP_MAX];
	uint64_t id;
	int fd = -ENOENT;
	char *slash;

	strcpy(path, cgroups->listed[0]->path);
	while (fd == -ENOENT && (slash = strrchr(path, '/')) && slash != path) {
		fd = cgroup_open(path, &id);
		*slash = '\0';
	}
	return fd;
}

/* Without a path the cgroup was removed, and sockets in it are left; or it was not found. */
static void find_former(struct cgroup *cgroup, int any_fd)
{
	int err = any_fd < 0 ? any_fd
			     : cgroup_find(any_fd, cgroup->id, cgroup->path, sizeof(cgroup->path));

	if (err)
		cgroup->path[0] = '\0';
	if (err == -ENOENT)
		cgroup->state = CGROUP_REMOVED;
}

static bool is_below_configured(const struct cgroups *cgroups, const struct cgroup *former)
{
	uint64_t id;
	auto_close int fd = former->path[0] ? cgroup_open(former->path, &id) : -1;
	size_t i;

	for (i = 0; fd >= 0 && i < cgroups->count; i++)
		if (cgroups->listed[i]->configured && cgroups->listed[i]->id &&
		    cgroup_is_within(fd, cgroups->listed[i]->id) > 0)
			return true;
	return false;
}

static int find_formers(struct cgroups *cgroups)
{
	int err = links_walk_cgroups(cgroups->object, add_former, cgroups);
	bool connections = cgroups_have_connections(cgroups);
	auto_close int any_fd = open_any(cgroups);
	size_t i;

	for (i = 0; !err && i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->configured)
			continue;
		find_former(cgroup, any_fd);
		cgroup->ending = cgroup->state == CGROUP_FORMER &&
				 (!connections || is_below_configured(cgroups, cgroup));
	}
	return err;
}

/* ---- start */

static int fail_open(const struct cgroup *cgroup, int err, struct failure *failure)
{
	return failure_set(failure, err,
			   "cgroup %s: cannot open it: %s; correct cgroup = in [enforce]",
			   cgroup->path, strerror(-err));
}

/* The links get a descriptor, which close_all() closes. */
static int open_configured(struct cgroups *cgroups, struct failure *failure)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];
		int fd = cgroup_open(cgroup->path, &cgroup->id);

		err = fd == -ENOENT ? 0 : fd < 0 ? fd : cgroup_list_links(cgroups, cgroup);
		if (err)
			fail_open(cgroup, err, failure);
		cgroup->links.cgroup_fd = fd < 0 ? -1 : fd;
		cgroup->state = fd < 0 ? CGROUP_ABSENT : CGROUP_ATTACHED;
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

/* The programs of a removed cgroup are replaced, too: its sockets are still there. */
static bool gets_programs(const struct cgroup *cgroup)
{
	return cgroup_has_programs(cgroup) || cgroup->state == CGROUP_REMOVED;
}

static int attach_sets(struct cgroups *cgroups, struct links *functions, struct failure *failure)
{
	struct links *sets[LISTED_MAX + 1] = {functions};
	size_t count = 1, i;

	for (i = 0; i < cgroups->count; i++)
		if (gets_programs(cgroups->listed[i]))
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
			 "configured, and connections are latched; they end with the last latch, "
			 "or by latchctl purge",
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

	for (i = cgroups->count; i-- > 0;) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->ending || cgroup->state == CGROUP_COVERED)
			links_detach(&cgroup->links);
		if (cgroup->ending)
			cgroup_table_forget(cgroups, i);
		else
			log_start(cgroup);
	}
	links_sweep(cgroups->object);
}

int cgroups_attach(struct cgroups *cgroups, struct links *functions, struct failure *failure)
{
	int err = open_configured(cgroups, failure);

	if (!err) {
		err = links_adopt_names(cgroups->object);
		if (!err)
			err = find_formers(cgroups);
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
