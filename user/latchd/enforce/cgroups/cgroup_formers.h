/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the cgroups of an earlier configuration by the pins of their links, and their paths in the
 * mounted hierarchy.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_FORMERS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_FORMERS_H

#include "latchd/enforce/cgroups/cgroup_table.h"

/* Lists the cgroups that have pins and are not listed yet, as far as there is room. 0 or a negative
 * errno. */
int cgroup_formers_list(struct cgroups *cgroups);

#endif
