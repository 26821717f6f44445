/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latchctl purge: ends the answers to applications, detaches all programs and removes all pins with
 * their directories.
 */
#ifndef LATCHCTL_PURGE_H
#define LATCHCTL_PURGE_H

#include "latchctl/latchctl.h"

/* Paths that purge works on; unit tests pass their own. */
struct purge_paths {
	const char *root; /* directory of all pins */
	const char *lock; /* lock file of latchd */
	long filesystem;  /* required f_type of root, see statfs(2) */
};

enum ctl_exit purge_at(const struct ctl_options *options, const struct purge_paths *paths);

#endif
