/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs of the simulated kernel under the programs of sa_watch.bpf.c. Included by their tests. */
#ifndef LATCHD_TESTS_SA_WATCH_FIXTURE_H
#define LATCHD_TESTS_SA_WATCH_FIXTURE_H

#include <criterion/criterion.h>

#include <netinet/in.h>

#include "simulated_kernel.h"

static inline void start(void)
{
	deletions_fail = false;
	helpers_preempted = NULL;
	sim.faults.call = 1;
	sim.now_ms = 1000;
	tables_reset();
	traffic_reset();
}

static const struct traffic_sa inbound = {
	.key = {.netns = 1,
		.daddr = {10, 9, 0, 1},
		.spi = 0x1234,
		.protocol = IPPROTO_ESP,
		.family = AF_INET},
	.source = {10, 9, 0, 2},
	.cipher = "rfc4106(gcm(aes))",
	.inbound = true,
	.encap_port = 4500,
};

static inline const struct latch_sa *entry(void)
{
	return table_find(TABLE_SAS, &inbound.key);
}

/* Of all pairs of addresses. */
static inline uint64_t places(void)
{
	uint64_t sum = 0;
	uint32_t at;

	for (at = 1; at < tables[TABLE_SA_SHARES].max; at++)
		sum += *(uint64_t *)table_value(TABLE_SA_SHARES, at);
	return sum;
}

#define MORE_THAN_A_SHARE 65536

static inline void add_to_shares(uint64_t more)
{
	uint32_t at;

	for (at = 1; at < tables[TABLE_SA_SHARES].max; at++)
		*(uint64_t *)table_value(TABLE_SA_SHARES, at) += more;
}

static inline void fill_share(void)
{
	add_to_shares(MORE_THAN_A_SHARE);
}

static inline void empty_share(void)
{
	add_to_shares(-(uint64_t)MORE_THAN_A_SHARE);
}

static inline enum latch_control_result control(enum latch_control_op op)
{
	struct latch_control c = {
		.op = op,
		.sa = inbound.key,
		.serial = entry() ? entry()->word.serial : 0,
		.sa_state = LATCH_SA_BOUND,
		.params = 3,
	};

	traffic_control(&c);
	return c.result;
}

static inline int install_bound(void)
{
	int sa = traffic_install(&inbound);

	cr_assert_eq(control(LATCH_CONTROL_SA_SET), LATCH_CONTROL_DONE);
	cr_assert_eq(places(), 1);
	return sa;
}

static inline void expect_new(int sa)
{
	cr_assert_not_null(entry());
	cr_expect_eq(entry()->word.state, LATCH_SA_PENDING);
	cr_expect_eq(entry()->word.params, 0);
	cr_expect_eq(entry()->word.flags, 0);
	cr_expect_eq(entry()->instance, traffic_instance(sa));
	cr_expect_str_eq(entry()->qop.encryption, inbound.cipher);
	cr_expect_eq(places(), 1);
}

#endif
