/* SPDX-License-Identifier: BSD-2-Clause */
/* The decisions for pairs of addresses: as latchd is asked, and as the programs find them. */
#ifndef LATCHD_TESTS_PAIR_FIXTURE_H
#define LATCHD_TESTS_PAIR_FIXTURE_H

#include "choice_conflict_fixture.h"

#include "latchd/sa/attribution_parts.h"

static inline struct latch_flow flow_inside(uint8_t network)
{
	struct latch_flow flow = flow_at(2000, ns.cookie);

	memcpy(flow.local_addr, (uint8_t[]){10, 8, 0, 1}, 4);
	memcpy(flow.remote_addr, (uint8_t[]){10, network, 0, 1}, 4);
	return flow;
}

/* -1: the programs find none. */
static inline int decision_between(const struct latch_flow *flow, uint16_t params)
{
	struct latch_pair pair = {.netns = flow->netns, .params = params, .family = flow->family};
	uint32_t decision;

	memcpy(pair.local_addr, flow->local_addr, 16);
	memcpy(pair.remote_addr, flow->remote_addr, 16);
	return bpf_map_lookup_elem(maps.pairs, &pair, &decision) ? -1 : (int)decision;
}

static inline int decisions(void)
{
	struct latch_pair pair, *last = NULL;
	int count = 0;

	for (; !bpf_map_get_next_key(maps.pairs, last, &pair); last = &pair)
		count++;
	return count;
}

/* The gate has dropped the first packet of the flow, which left under the SA. */
static inline bool is_refused_now(const struct feed_child *under, const struct latch_flow *flow)
{
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.drop = LATCH_DROP_CONTESTED,
		.flow = *flow,
		.packet = LATCH_DIRECTION_OUT,
		.sa = out_key(under, ns.cookie),
		.time = clock_boot_ns(),
	};

	return attribution_refuses(attribution, &event);
}

/* On a slow machine a walk has made reads of the SPD wait. */
static inline bool is_refused(const struct feed_child *under, uint8_t network)
{
	const struct latch_flow flow = flow_inside(network);

	while (walk_pace_wait_ms(&attribution->walks))
		settle();
	return is_refused_now(under, &flow);
}

/* Of the SA's params, for the addresses of is_refused(). */
static inline int decision_of(const struct feed_child *under, uint8_t network)
{
	struct latch_flow flow = flow_inside(network);

	return decision_between(&flow, in_params(under));
}

#endif
