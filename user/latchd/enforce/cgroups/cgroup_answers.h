/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of the cgroups that answer questions: [api] of latchd.conf, at a start and a reload.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_ANSWERS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_ANSWERS_H

#include "latchd/enforce/cgroups/cgroup_table.h"

/* Detaches them, also those of an earlier latchd. What stays is silent: latch_settings.answers. */
void cgroup_answers_end(struct cgroups *cgroups);

#endif
