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

#endif
