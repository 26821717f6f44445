/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHD_SIM_HELPERS_H
#define LATCHD_SIM_HELPERS_H

/* An event is in the ring: its descriptor becomes readable. */
void helpers_wake(void);

/* Unless it is NULL: called at each helper call of a program, where another processor may act. */
extern void (*helpers_preempted)(void);

#endif
