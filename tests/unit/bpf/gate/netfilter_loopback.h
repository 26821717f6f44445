/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netfilter gate on the loopback of the test's network namespace, alone: no cgroup gate.
 *
 *	client socket --> LOCAL_OUT: nf_gate_egress --> lo --> LOCAL_IN: nf_gate_ingress --> server
 *
 * There is no IPsec: every packet is in clear.
 */
#ifndef LATCHD_TESTS_NETFILTER_LOOPBACK_H
#define LATCHD_TESTS_NETFILTER_LOOPBACK_H

#include "netfilter_fixture.h"
#include "tcp.h"

#include "latchd/maps/tables.h"

static struct netfilter netfilter;

static inline void netfilter_start(void)
{
	netfilter_private_pins();
	netfilter_load(&netfilter);
	tcp_set_up();
	netfilter_attach(&netfilter, &ns);
}

static inline void netfilter_finish(void)
{
	tcp_tear_down();
	object_release(&netfilter.object);
}

static inline struct latch_drop_count drops_for(enum latch_drop reason)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&netfilter.maps, drops), 0);
	return drops[reason];
}

static inline bool has_dropped(enum latch_drop reason, bool egress)
{
	struct latch_drop_count drops = drops_for(reason);

	return egress ? drops.egress : drops.ingress;
}

static inline void wait_for_drop(enum latch_drop reason, bool egress)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	while (!has_dropped(reason, egress) && loop_now_ms() < limit)
		sched_yield();
	cr_assert(has_dropped(reason, egress), "no packet was dropped");
}

static inline void put_latch(const struct latch_flow *flow, enum latch_owner owner)
{
	struct latch latch = {
		.id = 1,
		.owner = owner,
		.word = {.generation = 1, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.latches, flow, &latch, BPF_ANY), 0);
}

#endif
