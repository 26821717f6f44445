/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHD_SIM_HELPERS_H
#define LATCHD_SIM_HELPERS_H

/* An event is in the ring: its descriptor becomes readable. */
void helpers_wake(void);

#endif
