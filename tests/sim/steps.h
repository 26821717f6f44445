/* SPDX-License-Identifier: BSD-2-Clause */
/* The actions of the world: the kernel, the peers, charon, the applications, the administrator. */
#ifndef LATCHD_SIM_STEPS_H
#define LATCHD_SIM_STEPS_H

#include "world.h"

#define WORLD_SELECTORS 4

void steps_begin(void);
/* One action by chance. */
void steps_take(void);
/* The same, of an actor that may act while latchd is within a call of the kernel. */
void steps_act(void);
/* All actors do their duty from now on. */
void steps_quiet(void);

/* Actions that have begun and are not complete. UINT64_MAX: none. */
uint64_t steps_due(void);
/* Completes the next one. */
void steps_run_task(void);

/* Calls run() after that time. */
void steps_later(uint32_t after_ms, void (*run)(uint32_t argument), uint32_t argument);

void steps_close_socket(struct world_flow *flow, bool time_wait);

#endif
