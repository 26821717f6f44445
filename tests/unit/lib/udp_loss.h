/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams that a gate loses. */
#ifndef LATCHD_TESTS_UDP_LOSS_H
#define LATCHD_TESTS_UDP_LOSS_H

#include "gate_fixture.h"
#include "udp.h"

/* Dropped, and sent to the application: its latch waits (R-2-15). */
static inline bool udp_is_lost(int fd)
{
	uint64_t before = drops_in_all().egress;

	return !udp_send(fd) && drops_in_all().egress == before + 1;
}

#endif
