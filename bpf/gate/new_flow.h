/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decides over the first packet of a flow, and creates its latch. */
#ifndef LATCH_BPF_GATE_NEW_FLOW_H
#define LATCH_BPF_GATE_NEW_FLOW_H

#include "gate/passage.h"

/* Fills rule of p: the rule of its flow, and what its socket wishes. A global function, as
 * check_packet(). Returns 0. */
int find_rule(struct passage *p);

/* Decides over the first packet of a flow. Reads flow, sa, protection, direction and sockets of p,
 * and fills rule. */
int new_flow_check(struct passage *p);
/* Creates an ESTABLISHED latch under params, by the decision in p->rule, and passes the packet. */
int new_flow_latch(struct passage *p, int params);
/* Decides over a packet of a flow with a LARVAL latch. Not GATE_PASS: a rule requires an
 * ESTABLISHED latch. */
int new_flow_check_larval(struct passage *p);

#endif
