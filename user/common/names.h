/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words for the numbers of the ABI, in documents and events. Other programs match on these
 * words, so they are part of the interface. A number that the ABI does not have is "unknown".
 */
#ifndef LATCHD_COMMON_NAMES_H
#define LATCHD_COMMON_NAMES_H

#include <stdint.h>

#include "latch_abi.h"
#include "latch_sockopt.h"

const char *latch_state_name(enum latch_state state);
const char *latch_direction_name(enum latch_direction direction);
const char *latch_disposition_name(enum latch_disposition disposition);
/* The word of one reason, not of a set. */
const char *latch_reason_name(enum latch_reason reason);
const char *latch_sa_state_name(enum latch_sa_state state);
const char *latch_drop_name(enum latch_drop drop);
/* A key of a document, therefore without hyphens. */
const char *latch_counter_name(enum latch_counter counter);
const char *latch_event_name(enum latch_event_type type);
/* Words of latch(7). */
const char *latch_app_state_name(enum latch_app_state state);
const char *latch_why_name(enum latch_why why);

const char *xfrm_mode_name(uint8_t mode);
/* "esp", "ah" */
const char *ipsec_protocol_name(uint8_t protocol);
/* The protocol of a flow: "tcp", "udp", "sctp". */
const char *ulp_name(uint8_t protocol);

#endif
