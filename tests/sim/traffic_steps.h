/* SPDX-License-Identifier: BSD-2-Clause */
/* The applications and their packets. */
#ifndef LATCHD_SIM_TRAFFIC_STEPS_H
#define LATCHD_SIM_TRAFFIC_STEPS_H

#include "world.h"

void traffic_steps_begin(void);
void traffic_step_connect(void);
void traffic_step_accept(void);
void traffic_step_packets(void);
void traffic_step_close(void);

/* steps.c */
void steps_later(uint32_t after_ms, void (*run)(uint32_t argument), uint32_t argument);

#endif
