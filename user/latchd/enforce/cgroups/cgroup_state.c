/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_state.h"

const char *cgroup_state_name(enum cgroup_state state)
{
	static const char *const names[] = {
		[CGROUP_ABSENT] = "absent",   [CGROUP_ATTACHED] = "attached",
		[CGROUP_COVERED] = "covered", [CGROUP_FAILED] = "failed",
		[CGROUP_FORMER] = "former",   [CGROUP_REMOVED] = "removed",
	};

	return names[state];
}
