/* SPDX-License-Identifier: BSD-2-Clause */
/* The actions of charon and its peers, and what happens to their SAs in the kernel. */
#ifndef LATCHD_SIM_CHARON_STEPS_H
#define LATCHD_SIM_CHARON_STEPS_H

void charon_steps_begin(void);
/* What charon does not have leaves the kernel: no peer answers to such an SA. */
void charon_steps_quiet(void);

void charon_step_child(void);
void charon_step_rekey(void);
void charon_step_child_deleted(void);
void charon_step_reported_again(void);
void charon_step_ike_rekey(void);
void charon_step_ike_down(void);
void charon_step_expire(void);
void charon_step_ends(void);
void charon_step_connection_lost(void);
void charon_step_migrate(void);
void charon_step_slow(void);

#endif
