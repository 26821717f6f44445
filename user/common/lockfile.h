/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock for the pins: latchd holds it while it runs, latchctl purge while it removes them. A full
 * file system is no error.
 */
#ifndef LATCHD_COMMON_LOCKFILE_H
#define LATCHD_COMMON_LOCKFILE_H

#include <sys/types.h>

#define LOCKFILE_DEFAULT_PATH "/run/latchd/latchd.lock"

/*
 * Takes the lock and returns its descriptor. Closing the descriptor, or the end of the process,
 * releases the lock. The file holds the pid and stays. A missing directory is created with mode
 * 0750. -EPERM, -ENOTDIR: the directory belongs to another user, or is a symbolic link.
 * -EWOULDBLOCK: another process has the lock; *ret_holder is its pid, or 0 if the file has no pid.
 * Or another negative errno.
 */
int lockfile_take(const char *path, pid_t *ret_holder);

#endif
