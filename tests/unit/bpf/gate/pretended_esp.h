/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that seem to be ESP on their way out: nft changes their protocol. The machine needs no
 * ESP. The first four bytes behind the IP header, the two ports, are the SPI.
 */
#ifndef LATCHD_TESTS_PRETENDED_ESP_H
#define LATCHD_TESTS_PRETENDED_ESP_H

#include "common/clock.h"
#include "gate_fixture.h"

static inline void run(const char *command)
{
	cr_assert(run_in_namespace(command), "%s", command);
}

static inline void make_esp(const char *family, const char *protocol, uint16_t to)
{
	char rule[160];

	snprintf(rule, sizeof(rule), "nft add table %s t", family);
	run(rule);
	snprintf(rule, sizeof(rule),
		 "nft 'add chain %s t out { type filter hook output priority 0; }'", family);
	run(rule);
	snprintf(rule, sizeof(rule), "nft 'add rule %s t out %s dport %u %s set 50'", family,
		 protocol, to, strcmp(family, "ip") ? "ip6 nexthdr" : "ip protocol");
	run(rule);
}

/* The SA that the packets of the flow seem to have. */
static inline struct latch_sa_key sa_of(const struct latch_flow *flow)
{
	struct latch_sa_key key = {
		.netns = flow->netns,
		.spi = (uint32_t)flow->local_port << 16 | flow->remote_port,
		.protocol = IPPROTO_ESP,
		.family = flow->family,
	};

	memcpy(key.daddr, flow->remote_addr, sizeof(key.daddr));
	return key;
}

static inline void put_sa_of(const struct latch_flow *flow, enum latch_sa_state state,
			     uint16_t params)
{
	struct latch_sa_key key = sa_of(flow);
	struct latch_sa sa = {
		.word = {.serial = 1, .params = params, .state = state},
		.installed = clock_boot_ns(),
	};

	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	forget_passes();
}

#endif
