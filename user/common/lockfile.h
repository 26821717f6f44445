/* SPDX-License-Identifier: BSD-2-Clause */
/* One process at a time works on the pins: latchd while it runs, latchctl purge. */
#ifndef LATCHD_COMMON_LOCKFILE_H
#define LATCHD_COMMON_LOCKFILE_H

#include <sys/types.h>

#define LOCKFILE_DEFAULT_PATH "/run/latchd/latchd.lock"

/*
 * The lock's descriptor: closing it, or the end of the process, gives the lock
 * back. The file holds the pid and stays; its directory is made (0750) when it
 * is missing. -EWOULDBLOCK when another process has it, with that one's pid in
 * *ret_holder (0 = it has not written it yet); else a negative errno.
 */
int lockfile_take(const char *path, pid_t *ret_holder);

#endif
