/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripted charon: a vici server on socket pairs. Its messages show world.h as it is when they
 * are made, and reach latchd later, in order.
 */
#ifndef LATCHD_SIM_CHARON_H
#define LATCHD_SIM_CHARON_H

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

enum charon_down {
	CHARON_ORDERLY,
	CHARON_DEAD,
	CHARON_REBOOTED,
};

void charon_begin(void);
/* The end of all connections. */
void charon_disconnect(void);
/* charon ends or starts. */
void charon_set_up(bool up);
bool charon_is_up(void);
/* Differs after each start. */
unsigned int charon_process(void);
/* charon reads no request until then. */
void charon_hold(uint64_t until_ms);
/* At most so many milliseconds between a message and its arrival. */
void charon_set_lateness(uint32_t ms);

void charon_ike_up(const struct world_ike_sa *ike_sa, bool initiator);
void charon_ike_down(const struct world_ike_sa *ike_sa, enum charon_down cause);
void charon_ike_rekeyed(const struct world_ike_sa *old, const struct world_ike_sa *ike_sa);
void charon_child(const struct world_child *child, bool up);
void charon_child_rekeyed(const struct world_child *old, const struct world_child *child);

/* When charon acts next; UINT64_MAX: not without a request. */
uint64_t charon_due(void);
void charon_act(void);

#endif
