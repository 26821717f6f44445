/* SPDX-License-Identifier: BSD-2-Clause */
/* The netfilter gate over the loopback of a namespace of the test's own, where all is in clear. */
#ifndef LATCHD_TESTS_NETFILTER_LOOPBACK_H
#define LATCHD_TESTS_NETFILTER_LOOPBACK_H

#include "netfilter_fixture.h"
#include "tcp.h"

#include "latchd/maps/tables.h"

static struct netfilter b;

static inline void netfilter_start(void)
{
	netfilter_private_pins();
	netfilter_load(&b);
	tcp_set_up();
	netfilter_attach(&b, &ns);
}

static inline void netfilter_finish(void)
{
	tcp_tear_down();
	object_release(&b.object);
}

static inline struct latch_drop_count dropped(enum latch_drop why)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&b.maps, drops), 0);
	return drops[why];
}

static inline void await(enum latch_drop why, bool egress)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	while (!(egress ? dropped(why).egress : dropped(why).ingress) && loop_now_ms() < limit)
		sched_yield();
	cr_assert(egress ? dropped(why).egress : dropped(why).ingress, "nothing was dropped");
}

static inline void put_latch(const struct latch_flow *flow, enum latch_owner owner)
{
	struct latch latch = {
		.id = 1,
		.owner = owner,
		.word = {.generation = 1, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(b.maps.latches, flow, &latch, BPF_ANY), 0);
}

#endif
