/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaches the gates to one cgroup of cgroup_table.h, and detaches all of its programs, answers
 * first. A former cgroup gets its programs again if a connection was latched while they were
 * detached.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_PROGRAMS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_PROGRAMS_H

#include <stdbool.h>

#include "latchd/enforce/cgroups/cgroup_table.h"

/* fd: of the cgroup. Sets the state, CGROUP_ATTACHED or CGROUP_FAILED, and logs it. */
void cgroup_programs_attach(const struct cgroups *cgroups, struct cgroup *cgroup, int fd);

/*
 * Another entry has the programs for these sockets: of a cgroup above, or of the same cgroup by
 * another path. In the second case the pins stay. 0, or a negative errno: the programs are still
 * attached.
 */
int cgroup_programs_release(const struct cgroups *cgroups, struct cgroup *cgroup);

/* False: the cgroup cannot be opened, so its programs could not be attached again. */
bool cgroup_programs_may_end(const struct cgroup *cgroup);

/*
 * Detaches the programs, since no connection is latched. False: the former cgroup keeps its
 * programs, or has them again because a connection was latched meanwhile.
 */
bool cgroup_programs_end(struct cgroups *cgroups, struct cgroup *cgroup);

/* Attaches the programs again to a cgroup that has lost them, if it can be opened. */
void cgroup_programs_return(const struct cgroups *cgroups, struct cgroup *cgroup);

/* Logs once for each error in a row. */
void cgroup_programs_log(struct cgroup *cgroup, int err, const char *has, const char *text);

/* Limits log lines: local users may create and remove cgroups at any rate. */
bool cgroup_programs_may_log(struct cgroup *cgroup);

#endif
