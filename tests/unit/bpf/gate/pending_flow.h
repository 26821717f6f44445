/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A UDP flow without a latch, under a PENDING SA. To be included behind the fixture of the gates.
 *
 *	client --> nft: protocol = ESP --> gate_egress --> lo --> server
 *	                     SA: PENDING
 */
#ifndef TESTS_UNIT_BPF_GATE_PENDING_FLOW_H
#define TESTS_UNIT_BPF_GATE_PENDING_FLOW_H

#include "pretended_esp.h"
#include "udp.h"

static struct pair pair;
static struct latch_flow flow;

static void set_up(void)
{
	gate_set_up();
	attach_gates();
	pair = udp_pair(IPV4, IPV4);
	flow = udp_flow(pair.client);
	make_esp("ip", "udp", port_of(pair.server));
	put_sa_of(&flow, LATCH_SA_PENDING, 0);
}

static void tear_down(void)
{
	udp_close(&pair);
	gate_tear_down();
}

#endif
