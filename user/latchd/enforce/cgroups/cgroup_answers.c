/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_answers.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/cgroups.h"

static int list_answers(const struct cgroups *cgroups, const struct cgroup *cgroup,
			struct links *ret)
{
	return links_list(cgroups->object, LINKS_OF_ANSWERS, cgroup->id, cgroup->path, ret);
}

/* ---- the end */

static int end_one(const struct cgroups *cgroups, const struct cgroup *cgroup)
{
	struct links links;
	int err = cgroup->id ? list_answers(cgroups, cgroup, &links) : -ENOENT;

	if (err)
		return err == -ENOENT ? 0 : err;
	return links_detach(&links);
}

void cgroup_answers_end(struct cgroups *cgroups)
{
	size_t i;
	int err;

	cgroups->answers = false;
	for (i = 0; i < cgroups->count; i++) {
		err = end_one(cgroups, cgroups->listed[i]);
		if (err)
			log_warn("enforce",
				 "cgroup %s keeps the program that answers questions, without "
				 "answers: %s; restart latchd",
				 cgroup_name(cgroups->listed[i]), strerror(-err));
		if (cgroup_has_programs(cgroups->listed[i]))
			cgroup_list_links(cgroups, cgroups->listed[i]);
	}
}

/* ---- the begin */

/* Another directory may have the path by now: the next check of the cgroups notices it. */
static int open_same(const struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup->path[0] ? cgroup_open(cgroup->path, &id) : -ENOENT;

	return fd < 0 || id == cgroup->id ? take_fd(&fd) : -ENOENT;
}

/* A former cgroup whose path is not known keeps what it has. */
static int begin_one(const struct cgroups *cgroups, struct cgroup *cgroup, struct failure *failure)
{
	auto_close int fd = open_same(cgroup);
	struct links links, *set = &links;
	int err;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return failure_set(failure, fd,
				   "cgroup %s: cannot open it to attach the program that answers "
				   "questions: %s; check its permissions",
				   cgroup_name(cgroup), strerror(-fd));
	err = list_answers(cgroups, cgroup, &links);
	if (err)
		return failure_set(
			failure, err,
			"BPF programs: cannot read their ids from the kernel: %s; report "
			"this",
			strerror(-err));
	links.cgroup_fd = fd;
	return links_attach(&set, 1, failure);
}

static int begin(struct cgroups *cgroups, struct failure *failure)
{
	int err = 0;
	size_t i;

	cgroups->answers = true;
	for (i = 0; !err && i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (!cgroup_has_programs(cgroup))
			continue;
		err = begin_one(cgroups, cgroup, failure);
		if (!err)
			err = cgroup_list_links(cgroups, cgroup);
	}
	if (err)
		cgroup_answers_end(cgroups);
	return err;
}

/* ---- cgroups.h */

int cgroups_set_answers(struct cgroups *cgroups, bool answers, struct failure *failure)
{
	int err = 0;

	if (answers == cgroups->answers)
		return 0;
	if (answers)
		err = begin(cgroups, failure);
	else
		cgroup_answers_end(cgroups);
	if (err)
		return err;
	log_info("enforce", answers ? "sockets answer for their latches from now on"
				    : "sockets do not answer for their latches any more");
	return 0;
}

bool cgroups_answer(const struct cgroups *cgroups)
{
	return cgroups->answers;
}
