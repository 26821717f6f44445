/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_answers.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latch_abi.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/cgroup_programs.h"

static int list_answers(const struct cgroups *cgroups, const struct cgroup *cgroup,
			struct links *ret)
{
	return links_list(cgroups->object, LINKS_OF_ANSWERS, cgroup->id, cgroup->path, ret);
}

/* ---- the end */

static int end_one(const struct cgroups *cgroups, struct cgroup *cgroup)
{
	struct links links;
	int err = cgroup->id ? list_answers(cgroups, cgroup, &links) : -ENOENT;

	cgroup->answers = false;
	cgroup->unanswered = 0;
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
	}
}

/* ---- the begin */

/* Another directory may have the path by now. The next check of the cgroups notices that. */
static int open_same(const struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup->path[0] ? cgroup_open(cgroup->path, &id) : -ENOENT;

	return fd < 0 || id == cgroup->id ? take_fd(&fd) : -ENOENT;
}

static int attach(const struct cgroups *cgroups, const struct cgroup *cgroup, int fd,
		  struct failure *failure)
{
	struct links links, *set = &links;
	int err = list_answers(cgroups, cgroup, &links);

	if (err)
		return failure_set(failure, err,
				   "BPF programs: cannot read their ids from the kernel: %s; "
				   "report this",
				   strerror(-err));
	if (!links.count)
		return failure_set(failure, -ENOEXEC,
				   "program %s: this kernel has refused it; see the start in the "
				   "log",
				   LATCH_ANSWER_PROGRAM);
	links.cgroup_fd = fd;
	return links_attach(&set, 1, failure);
}

/* A former cgroup without a known path gets the program only in place of an earlier one. */
static int begin_one(const struct cgroups *cgroups, const struct cgroup *cgroup,
		     struct failure *failure)
{
	auto_close int fd = open_same(cgroup);

	if (fd < 0 && fd != -ENOENT)
		return failure_set(failure, fd,
				   "cgroup %s: cannot open it to attach the program that answers "
				   "questions: %s; check its permissions",
				   cgroup_name(cgroup), strerror(-fd));
	return attach(cgroups, cgroup, fd < 0 ? -1 : fd, failure);
}

/* Detaches the program of an earlier latchd, too: it may answer by other rules. */
static void give_up(const struct cgroups *cgroups, struct cgroup *cgroup, int err,
		    const struct failure *failure)
{
	bool known = cgroup->unanswered == err;

	end_one(cgroups, cgroup);
	cgroup->unanswered = err;
	if (!known && cgroup_programs_may_log(cgroup))
		log_warn(
			"enforce",
			"cgroup %s: its sockets answer no questions, and are latched all the same: "
			"%s; trying again",
			cgroup_name(cgroup), failure->text);
}

/* The program may have been detached with the gates, in a detach that failed half-way, or by
 * another tool. */
static bool has_it_still(const struct cgroups *cgroups, const struct cgroup *cgroup)
{
	struct links links;

	return cgroup->answers && !list_answers(cgroups, cgroup, &links) &&
	       links_are_attached(&links);
}

void cgroup_answers_begin(struct cgroups *cgroups)
{
	struct failure failure;
	size_t i;
	int err;

	for (i = 0; cgroups->answers && i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		cgroup->answers = has_it_still(cgroups, cgroup);
		if (!cgroup_has_programs(cgroup) || cgroup->answers)
			continue;
		err = begin_one(cgroups, cgroup, &failure);
		cgroup->answers = !err;
		if (err)
			give_up(cgroups, cgroup, err, &failure);
		else
			cgroup->unanswered = 0;
	}
}
