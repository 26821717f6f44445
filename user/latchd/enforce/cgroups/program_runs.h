/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of programs that are detached already. */
#ifndef LATCHD_ENFORCE_CGROUPS_PROGRAM_RUNS_H
#define LATCHD_ENFORCE_CGROUPS_PROGRAM_RUNS_H

/* Returns when each run that began before has ended. */
void program_runs_wait(void);

#endif
