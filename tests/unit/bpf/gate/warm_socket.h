/* SPDX-License-Identifier: BSD-2-Clause */
/* Connected UDP sockets of which the cgroup gate remembers the last datagram. */
#ifndef LATCHD_TESTS_WARM_SOCKET_H
#define LATCHD_TESTS_WARM_SOCKET_H

#include "pretended_esp.h"
#include "udp.h"

#define PARAMS 3 /* of gate_fixture's latches */

static inline uint64_t checks_in_full(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_SLOW_PATH];
}

/* How many of some datagrams were checked in full. All were sent. */
static inline uint64_t checks_of_datagrams(int fd, int datagrams)
{
	uint64_t before = checks_in_full();

	while (datagrams--)
		cr_assert_eq(udp_send(fd), 0);
	return checks_in_full() - before;
}

static inline bool is_remembered(int fd)
{
	return checks_of_datagrams(fd, 1) == 0;
}

/* One pass is remembered in a jiffy. */
static inline void warm(int fd)
{
	wait_for(is_remembered(fd));
}

/* The datagrams of this connected UDP socket seem to leave under a bound SA of its latch. */
static inline struct pair warm_latched_pair(const char *address, struct latch_flow *ret_flow)
{
	struct pair pair = udp_pair(address, address);

	*ret_flow = udp_flow(pair.client);
	make_esp(strcmp(address, IPV4) ? "ip6" : "ip", "udp", port_of(pair.server));
	put_sa_of(ret_flow, LATCH_SA_BOUND, PARAMS);
	put_latch_of(ret_flow, pair.client);
	warm(pair.client);
	return pair;
}

static inline struct pair warm_clear_pair(const char *one, const char *other)
{
	struct pair pair = udp_pair(one, other);

	warm(pair.client);
	return pair;
}

static inline void expect_lost(int fd, enum latch_drop why)
{
	uint64_t before = drops_for(why).egress;

	cr_expect_eq(udp_send(fd), 0);
	cr_expect_eq(drops_for(why).egress, before + 1);
}

static inline void expect_refused(int fd, enum latch_drop why)
{
	uint64_t before = drops_for(why).egress;

	cr_expect_eq(udp_send(fd), -EPERM);
	cr_expect_eq(drops_for(why).egress, before + 1);
}

#endif
