/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program of the cgroups that answers applications: [api] of latchd.conf, at a start and a
 * reload. It is attached after the gates and detached before them. No gate depends on it.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_ANSWERS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_ANSWERS_H

#include "latchd/enforce/cgroups/cgroup_table.h"

/* Attaches the program to each cgroup that needs it and lacks it. Cheap if there is none. */
void cgroup_answers_begin(struct cgroups *cgroups);

/* Detaches the programs, also those of an earlier latchd. A program that cannot be detached returns
 * no answers: latch_settings.answers. */
void cgroup_answers_end(struct cgroups *cgroups);

#endif
