/* SPDX-License-Identifier: BSD-2-Clause */
/* Cgroup v2 directories: the kernel's id of one, its path, and which is below which. */
#ifndef LATCHD_ENFORCE_CGROUP_PATHS_H
#define LATCHD_ENFORCE_CGROUP_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A descriptor of the directory, for the caller to close, and its id. -ENOENT: it is absent.
 * -ENOTDIR: it is not a cgroup v2 directory. Or another negative errno.
 */
int cgroup_open(const char *path, uint64_t *ret_id);

/* 1: an ancestor has this id, or the cgroup itself. 0: none has. Or a negative errno. */
int cgroup_is_within(int cgroup_fd, uint64_t id);

/*
 * Finds the directory with this id in the hierarchy that the descriptor belongs to. Reads a limited
 * number of directories, since local users may own subtrees. 0; -ENOENT: none has it; -E2BIG:
 * there are more directories; or another negative errno.
 */
int cgroup_find(int cgroup_fd, uint64_t id, char *ret_path, size_t size);

#endif
