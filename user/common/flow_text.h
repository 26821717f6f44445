/* SPDX-License-Identifier: BSD-2-Clause */
/* A flow in a line for people, the same everywhere. */
#ifndef LATCHD_COMMON_FLOW_TEXT_H
#define LATCHD_COMMON_FLOW_TEXT_H

#include "latch_abi.h"

#define FLOW_TEXT_SIZE 128

/*
 * "tcp 10.9.0.1:7000 <- 10.9.0.2:43159": local address first; the arrow points to the
 * peer that accepted the flow ("<->": unknown). IPv6 as "[2001:db8::1]:7000".
 */
void flow_text(char out[FLOW_TEXT_SIZE], const struct latch_flow *flow,
	       enum latch_direction direction);

#endif
