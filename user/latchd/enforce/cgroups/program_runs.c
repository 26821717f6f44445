/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/program_runs.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RUN_MAX_US 20000 /* longer than any program runs */

/* The call waits for all readers of RCU in the kernel. Programs of cgroups are such readers. */
void program_runs_wait(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(RUN_MAX_US);
}
