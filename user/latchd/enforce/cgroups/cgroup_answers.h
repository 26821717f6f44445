/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program of the cgroups that answers questions: [api] of latchd.conf, at a start and a reload.
 * It is attached behind the gates and detached before them, and no gate depends on it.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_ANSWERS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_ANSWERS_H

#include "latchd/enforce/cgroups/cgroup_table.h"

/* Attaches it where it is wanted and absent. Cheap where nothing is to be done. */
void cgroup_answers_begin(struct cgroups *cgroups);

/* Detaches them, also those of an earlier latchd. What stays is silent: latch_settings.answers. */
void cgroup_answers_end(struct cgroups *cgroups);

#endif
