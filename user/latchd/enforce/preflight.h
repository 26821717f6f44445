/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conditions for a start, checked before anything is loaded. Without these checks the
 * kernel would answer EPERM or EINVAL much later. Here each missing condition has its cause
 * and next step.
 */
#ifndef LATCHD_ENFORCE_PREFLIGHT_H
#define LATCHD_ENFORCE_PREFLIGHT_H

#include <stddef.h>

#include "common/failure.h"
#include "latchd/config/config.h"

struct preflight_result {
	/* Path of the first cgroup v2 directory to enforce on; "" = not found. It may be absent. */
	char cgroup[CONFIG_CGROUP_MAX];
};

/* The files and the call that the checks use. Unit tests give files of their own. */
struct preflight_system {
	const char *status; /* /proc/PID/status of this process */
	const char *btf;
	const char *lockdown;
	const char *bpffs;
	const char *cgroup; /* the usual mount point of cgroups */
	const char *mountinfo;
	/* The type of the file system at path (statfs f_type), or a negative errno. */
	long (*filesystem_type)(const char *path);
};

extern const struct preflight_system preflight_this_system;

/*
 * Checks capabilities, lockdown, BTF, bpffs and cgroup v2, in this order. 0 and the cgroup, or
 * a negative errno and the failure of the first check that fails.
 */
int preflight_run(const struct config *config, struct preflight_result *result,
		  struct failure *failure);
int preflight_run_on(const struct preflight_system *system, const struct config *config,
		     struct preflight_result *result, struct failure *failure);

/*
 * The check of the cgroups alone, which needs no privilege. -ENOENT: a cgroup is absent, and so is
 * a cgroup v2 directory above it.
 */
int preflight_cgroup(const struct config *config, struct preflight_result *result,
		     struct failure *failure);

/*
 * Checks that this kernel's BTF has all these functions, since fentry attaches to them. 0, or
 * -ENOENT and a failure that names every missing function, or another negative errno.
 */
int preflight_functions(const char *const *names, size_t count, struct failure *failure);

/*
 * Takes the lock that keeps other latchd processes off the pins. Returns its descriptor, for
 * the caller to keep open until the process ends, or a negative errno and a failure. path is
 * LOCKFILE_DEFAULT_PATH, save in tests.
 */
int preflight_lock(const char *path, struct failure *failure);

#endif
