/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks a packet after its flow and protection were read: the same for TCP and UDP sockets. */
#ifndef LATCH_BPF_GATE_FLOW_CHECK_H
#define LATCH_BPF_GATE_FLOW_CHECK_H

#include "gate/passage.h"

/*
 * Returns GATE_PASS, GATE_DROP or GATE_LOSE; the verifier does not know the range. v: state of the
 * packet's socket, or NULL.
 */
int check_packet(struct passage *p, struct socket_verdict *v);

#endif
