/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cgroups that have the programs: the configured ones as they come and go, and those of an
 * earlier configuration. These keep their programs until no connection is latched any more. A latch
 * does not show its cgroup, and no live latch may lose its gate. A cgroup below another one that
 * has the programs gets none of its own, since they would run twice for a packet.
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

/* The cgroups of config, or the one at root. Keeps object and maps. NULL: out of memory. */
struct cgroups *cgroups_new(const struct bpf_object *object, const struct kernel_maps *maps,
			    const struct config *config, const char *root);
void cgroups_free(struct cgroups *cgroups);

/*
 * Attaches the programs to all cgroups that exist, and these links of functions. Then, where it is
 * wanted, what answers questions. 0, or a negative errno and a failure: a gate cannot be attached.
 * All links are then as they were.
 */
int cgroups_attach(struct cgroups *cgroups, struct links *functions, struct failure *failure);

/* Attaches to cgroups that have come, and ends what is no longer needed. Cheap if nothing is new.
 */
void cgroups_check(struct cgroups *cgroups);

/*
 * Attaches the program that answers questions to the cgroups that have the gates, or detaches it.
 * A cgroup that cannot get it keeps its gates, with a warning, and cgroups_check() tries again.
 */
void cgroups_set_answers(struct cgroups *cgroups, bool answers);
bool cgroups_answer(const struct cgroups *cgroups);

/*
 * Where it is not wanted, detaches the program of an earlier latchd. A start calls it when nothing
 * can fail any more: a start that is undone leaves what answered before.
 */
void cgroups_end_needless_answers(struct cgroups *cgroups);

/* Fills at most max entries. Returns their number, which may be larger. Configured ones first. */
size_t cgroups_list(const struct cgroups *cgroups, struct cgroup_entry *entries, size_t max);

/* Has each cgroup that needs it the program of this name, and is there one? */
bool cgroups_have_program(const struct cgroups *cgroups, const char *name);

/* A configured cgroup is the root of the hierarchy: the programs see all sockets. */
bool cgroups_have_root(const struct cgroups *cgroups);

#endif
