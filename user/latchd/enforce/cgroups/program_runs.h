/* SPDX-License-Identifier: BSD-2-Clause */
/* Waits for running programs after they were detached. */
#ifndef LATCHD_ENFORCE_CGROUPS_PROGRAM_RUNS_H
#define LATCHD_ENFORCE_CGROUPS_PROGRAM_RUNS_H

/* Returns when each run that began before has ended. */
void program_runs_wait(void);

#endif
