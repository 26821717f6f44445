/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts about a process from /proc. */
#ifndef LATCHD_COMMON_PROCESS_H
#define LATCHD_COMMON_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* When the process began, in clock ticks since boot; 0 = unknown. */
uint64_t process_started(pid_t pid);

#endif
