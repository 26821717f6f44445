/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of latchd's programs at a cgroup, see cgroups.h. */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_STATE_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* Listed cgroups of an earlier configuration, or removed ones. Further cgroups keep their programs,
 * unlisted, until there is room. */
#define CGROUPS_FORMER_MAX 64

enum cgroup_state {
	CGROUP_ABSENT,	 /* the directory does not exist yet, or no longer */
	CGROUP_ATTACHED, /* has the programs */
	CGROUP_COVERED,	 /* a cgroup above it has the programs */
	CGROUP_FAILED,	 /* exists without the programs; the log has the reason */
	CGROUP_FORMER,	 /* no longer configured; has the programs for its connections */
	CGROUP_REMOVED,	 /* the directory is gone, but sockets in it are not: has the programs */
};

struct cgroup_entry {
	const char *path; /* "" = not known; valid until the next check */
	uint64_t id;	  /* of the kernel; 0 = absent */
	enum cgroup_state state;
	bool unanswered; /* has the gates, but cannot get the program that answers applications */
};

const char *cgroup_state_name(enum cgroup_state state);

#endif
