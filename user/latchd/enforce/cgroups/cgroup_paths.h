/* SPDX-License-Identifier: BSD-2-Clause */
/* Cgroup v2 directories: their ids, paths and ancestors. */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_PATHS_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A descriptor of the directory, for the caller to close, and its id. -ENOENT: it is absent.
 * -ENOTDIR: it is not a cgroup v2 directory. Or another negative errno.
 */
int cgroup_open(const char *path, uint64_t *ret_id);

/* 1: the cgroup or an ancestor has this id. 0: none has. Or a negative errno. */
int cgroup_is_within(int cgroup_fd, uint64_t id);

/*
 * How many levels the cgroup is below the root of the hierarchy. -EXDEV: the root is not in its
 * mount, as in a cgroup namespace. Or another negative errno.
 */
int cgroup_level(int cgroup_fd);

/*
 * Visits each directory of the hierarchy that the descriptor belongs to, as far as it is mounted
 * and can be read. Reads a limited number, since local users may own subtrees. 0; the visitor's
 * first other result; -E2BIG: there are more directories; or another negative errno.
 */
typedef int (*cgroup_visit_fn)(void *context, const char *path, uint64_t id);
int cgroup_walk(int cgroup_fd, cgroup_visit_fn visit, void *context);

#endif
