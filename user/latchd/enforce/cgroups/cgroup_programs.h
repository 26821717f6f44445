/* SPDX-License-Identifier: BSD-2-Clause */
/* Gives the programs to one cgroup of cgroup_table.h, and takes them away. */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_PROGRAMS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_PROGRAMS_H

#include <stdbool.h>

#include "latchd/enforce/cgroups/cgroup_table.h"

/* fd: of the cgroup. Sets the state, CGROUP_ATTACHED or CGROUP_FAILED, and logs it. */
void cgroup_programs_attach(const struct cgroups *cgroups, struct cgroup *cgroup, int fd);

/*
 * Another entry has the programs for these sockets: it is above, or it is the same cgroup, by
 * another path, and then keeps the pins. 0, or a negative errno: the programs are still attached.
 */
int cgroup_programs_release(const struct cgroups *cgroups, struct cgroup *cgroup);

/* Without a descriptor of the cgroup the programs could not be attached again. */
bool cgroup_programs_may_end(const struct cgroup *cgroup);

/*
 * No connection is latched. False: the former cgroup keeps its programs, or has them again, since a
 * connection was latched meanwhile.
 */
bool cgroup_programs_end(const struct cgroups *cgroups, struct cgroup *cgroup);

/* Has lost its programs and gets them again, if it can be opened. */
void cgroup_programs_return(const struct cgroups *cgroups, struct cgroup *cgroup);

/* Once for each error in a row. */
void cgroup_programs_log(struct cgroup *cgroup, int err, const char *has, const char *text);

/* Local users may make and remove cgroups as fast as they like. */
bool cgroup_programs_may_log(struct cgroup *cgroup);

#endif
