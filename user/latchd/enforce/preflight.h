/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must be true before anything is loaded. The kernel answers most of these
 * with EPERM or EINVAL much later; here each has its cause and next step.
 */
#ifndef LATCHD_ENFORCE_PREFLIGHT_H
#define LATCHD_ENFORCE_PREFLIGHT_H

#include <stddef.h>

#include "common/failure.h"
#include "latchd/config/config.h"

struct preflight_result {
	char cgroup[256]; /* the cgroup v2 directory to enforce on */
};

/* Where to look; unit tests point it at a tree of their own. */
struct preflight_system {
	const char *status; /* of our process, in proc */
	const char *btf;
	const char *lockdown;
	const char *bpffs;
	const char *cgroup; /* where cgroups are mounted by custom */
	const char *mountinfo;
	/* The type of the file system at path (statfs f_type), or a negative errno. */
	long (*filesystem_type)(const char *path);
};

extern const struct preflight_system preflight_this_system;

/*
 * 0 and the cgroup, or a negative errno and the first failure. Checks, in this order:
 * capabilities, lockdown, BTF, bpffs, cgroup v2.
 */
int preflight_run(const struct config *config, struct preflight_result *result,
		  struct failure *failure);
int preflight_run_on(const struct preflight_system *system, const struct config *config,
		     struct preflight_result *result, struct failure *failure);

/*
 * Whether this kernel's BTF has all these functions, so that fentry can find
 * them. 0, or -ENOENT and a failure that names every missing one.
 */
int preflight_functions(const char *const *names, size_t count, struct failure *failure);

/*
 * Makes sure that no other latchd works on the pins. The lock's descriptor, to be kept for
 * life, or a negative errno and the failure. path is LOCKFILE_DEFAULT_PATH.
 */
int preflight_lock(const char *path, struct failure *failure);

#endif
