/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cgroups of a start: gates for all that are there, answers where the kernel allows them. A
 * start that fails leaves the answers of the former latchd.
 */
#include "latchd/enforce/cgroups/cgroups.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "latchd/enforce/cgroups/cgroup_formers.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/cgroup_programs.h"
#include "latchd/enforce/cgroups/cgroup_table.h"

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
	err = cgroup_list_gates(cgroups, cgroup);
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

/* From here on the sets serve to detach. */
static void list_all(struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i]->id)
			links_add_answers(cgroups->object, &cgroups->listed[i]->links);
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
			err = cgroup_formers_list(cgroups);
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
	if (!err) {
		list_all(cgroups);
		end_needless(cgroups);
	}
	return err;
}
