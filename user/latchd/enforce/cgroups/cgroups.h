/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cgroups that have the programs: configured ones as they are created and removed, and cgroups
 * of an earlier configuration. The latter keep their programs until no connection is latched: a
 * latch does not show its cgroup, and no live latch may lose its gate. A cgroup below another one
 * with the programs gets none, since they would run twice for a packet.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUPS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUPS_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"
#include "latchd/config/config.h"
#include "latchd/enforce/cgroups/cgroup_state.h"
#include "latchd/enforce/links/links.h"
#include "latchd/maps/kernel_maps.h"

struct cgroups;

/* The cgroups of config, else the cgroup at root. Keeps object and maps. NULL: out of memory. */
struct cgroups *cgroups_new(const struct bpf_object *object, const struct kernel_maps *maps,
			    const struct config *config, const char *root);
void cgroups_free(struct cgroups *cgroups);

/*
 * Attaches the gates to all cgroups that exist, and the links in functions. Then, if [api] is on,
 * attaches the program that answers applications. 0, or a negative errno and a failure: a gate
 * cannot be attached, and all links are as they were.
 */
int cgroups_attach(struct cgroups *cgroups, struct links *functions, struct failure *failure);

/* Attaches programs to new cgroups, and detaches programs that are no longer needed. Cheap if
 * nothing has changed. */
void cgroups_check(struct cgroups *cgroups);

/*
 * Attaches the program that answers applications to the cgroups that have the gates, or detaches
 * it. A cgroup that cannot get the program keeps its gates, with a warning, and cgroups_check()
 * tries again.
 */
void cgroups_set_answers(struct cgroups *cgroups, bool answers);
bool cgroups_answer(const struct cgroups *cgroups);

/*
 * If [api] is off, detaches the program that an earlier latchd attached. A start calls it after
 * its last step that can fail, so that a failed start leaves that program attached.
 */
void cgroups_end_needless_answers(struct cgroups *cgroups);

/* Fills at most max entries, configured cgroups first. Returns the number of cgroups, which may be
 * larger. */
size_t cgroups_list(const struct cgroups *cgroups, struct cgroup_entry *entries, size_t max);

/* True: each cgroup that needs the program of this name has it, and there is such a cgroup. */
bool cgroups_have_program(const struct cgroups *cgroups, const char *name);

/* True: a configured cgroup is the root of the hierarchy, so that the programs see all sockets. */
bool cgroups_have_root(const struct cgroups *cgroups);

#endif
