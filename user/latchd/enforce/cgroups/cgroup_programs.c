/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_programs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/program_runs.h"

bool cgroup_programs_may_log(struct cgroup *cgroup)
{
	unsigned int left_out;

	return log_limit_admits(&cgroup->log, &left_out);
}

void cgroup_programs_log(struct cgroup *cgroup, int err, const char *has, const char *text)
{
	if (cgroup->logged != err && cgroup_programs_may_log(cgroup))
		log_error("enforce", "cgroup %s %s: %s; trying again", cgroup_name(cgroup), has,
			  text);
	cgroup->logged = err;
}

void cgroup_programs_attach(const struct cgroups *cgroups, struct cgroup *cgroup, int fd)
{
	struct links *set = &cgroup->links;
	struct failure failure = {""};
	int err = cgroup_list_gates(cgroups, cgroup);

	set->cgroup_fd = fd;
	if (!err)
		err = links_attach(&set, 1, &failure);
	set->cgroup_fd = -1;
	if (!err)
		links_add_answers(cgroups->object, set);
	cgroup->state = err ? CGROUP_FAILED : CGROUP_ATTACHED;
	if (err)
		cgroup_programs_log(cgroup, err, "has no programs",
				    failure.text[0] ? failure.text : strerror(-err));
	else if (cgroup_programs_may_log(cgroup))
		log_info("enforce", "cgroup %s (id %" PRIu64 ") has the programs",
			 cgroup_name(cgroup), cgroup->id);
	if (!err)
		cgroup->logged = 0;
}

/* The id names the pins. */
static bool shares_pins(const struct cgroups *cgroups, const struct cgroup *cgroup)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i] != cgroup && cgroups->listed[i]->id == cgroup->id &&
		    cgroup_has_programs(cgroups->listed[i]))
			return true;
	return false;
}

int cgroup_programs_release(const struct cgroups *cgroups, struct cgroup *cgroup)
{
	int err = shares_pins(cgroups, cgroup) ? 0 : links_detach(&cgroup->links);

	if (err)
		cgroup_programs_log(cgroup, err, "keeps its programs beside those above it",
				    strerror(-err));
	return err;
}

static int open_again(const struct cgroup *cgroup)
{
	uint64_t id;
	auto_close int fd = cgroup->path[0] ? cgroup_open(cgroup->path, &id) : -ENOENT;

	if (fd >= 0 && id != cgroup->id)
		return -ESTALE;
	return take_fd(&fd);
}

static void attach_former(const struct cgroups *cgroups, struct cgroup *cgroup, int fd)
{
	cgroup_programs_attach(cgroups, cgroup, fd);
	if (cgroup->state == CGROUP_ATTACHED)
		cgroup->state = CGROUP_FORMER;
}

void cgroup_programs_return(const struct cgroups *cgroups, struct cgroup *cgroup)
{
	auto_close int fd = open_again(cgroup);

	if (fd >= 0)
		attach_former(cgroups, cgroup, fd);
}

/* A program may have latched a connection until its last run ended. */
static bool has_ended(struct cgroups *cgroups, struct cgroup *cgroup, int fd)
{
	program_runs_wait();
	if (!cgroup_is_needed(cgroups, cgroup)) {
		log_info("enforce",
			 "cgroup %s (id %" PRIu64 ") has no programs any more: no connection is "
			 "latched, and no socket wishes one",
			 cgroup->path, cgroup->id);
		return true;
	}
	if (cgroup_programs_may_log(cgroup))
		log_warn("enforce",
			 "cgroup %s (id %" PRIu64 ") gets its programs again: a connection was "
			 "latched or wished while they were detached",
			 cgroup->path, cgroup->id);
	attach_former(cgroups, cgroup, fd);
	return false;
}

/*
 * Detaches the program that takes wishes first: an application may connect at once, by a wish that
 * was accepted. cgroup_answers_begin() attaches it again, if the gates stay.
 */
static int end_wishes(const struct cgroups *cgroups, const struct cgroup *cgroup)
{
	struct links links;
	int err = links_list(cgroups->object, LINKS_OF_ANSWERS, cgroup->id, cgroup->path, &links);

	if (!err)
		err = links_detach(&links);
	program_runs_wait();
	return err;
}

bool cgroup_programs_may_end(const struct cgroup *cgroup)
{
	auto_close int fd = open_again(cgroup);

	return fd >= 0;
}

bool cgroup_programs_end(struct cgroups *cgroups, struct cgroup *cgroup)
{
	auto_close int fd = open_again(cgroup);
	int err;

	if (shares_pins(cgroups, cgroup))
		return true;
	if (fd < 0)
		return false;
	err = end_wishes(cgroups, cgroup);
	if (!err && cgroup_is_needed(cgroups, cgroup))
		return false;
	if (!err)
		err = links_detach(&cgroup->links);
	if (err)
		cgroup_programs_log(cgroup, err, "cannot lose its programs", strerror(-err));
	if (err && links_are_alive(&cgroup->links))
		return false;
	return has_ended(cgroups, cgroup, fd);
}
