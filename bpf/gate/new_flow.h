/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A flow's first packet: whether it may pass, and what latch it begins. */
#ifndef LATCH_BPF_GATE_NEW_FLOW_H
#define LATCH_BPF_GATE_NEW_FLOW_H

#include "gate/passage.h"

/* A socket of UDP or SCTP does not tell who connected to whom: then its first packet does. */
static __always_inline enum latch_direction opening_direction(const struct passage *p)
{
	if (p->opened)
		return p->opened;
	return p->egress ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN;
}

/* Of the passage, flow, cover, opened and owner are there; leaves the ruling in it. */
int new_flow_check(struct passage *p);
/* Under these params, with the ruling that is in the passage. */
int new_flow_latch(struct passage *p, int params);
/* GATE_DROP: a rule wants more than the LARVAL latch of this flow. */
int new_flow_check_larval(struct passage *p);

#endif
