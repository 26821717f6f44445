/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Refuses a flow that may not start; reports one that continues unlatched. */
#ifndef LATCH_BPF_GATE_REFUSAL_H
#define LATCH_BPF_GATE_REFUSAL_H

#include "gate/passage.h"

/*
 * Drops the packet and sends LATCH_EVENT_REFUSED to the controller: the flow gets no latch. why:
 * an enum latch_drop; after LATCH_DROP_CONTESTED the controller decides. Returns GATE_DROP or
 * GATE_LOSE, in audit mode GATE_PASS; the verifier does not know the range.
 */
int refuse(struct passage *p, int why);

/*
 * Counts a packet in clear that leaves by an xfrm interface with SAs in another network namespace
 * or by a VTI interface, and sends LATCH_EVENT_SAS_ELSEWHERE. which: an enum latch_counter.
 * Returns 0.
 */
int report_elsewhere(const struct passage *p, int which);

#endif
