/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows that the cgroup gate remembers, with all its programs. Included by their tests. */
#ifndef LATCHD_TESTS_REMEMBERED_FIXTURE_H
#define LATCHD_TESTS_REMEMBERED_FIXTURE_H

#include "gate_rules.h"
#include "warm_socket.h"

#define PACKETS 50

static inline void set_up(void)
{
	gate_set_up();
	attach_gates();
	attach(GATES_SOCKET);
	attach(GATES_RELEASE);
	attach(GATES_CONNECT4);
	attach(GATES_SEND4);
	config.rule_count = 0;
}

static inline void exchange(const struct pair *pair, int packets)
{
	while (packets--) {
		expect_alive(pair->client, pair->server);
		expect_alive(pair->server, pair->client);
	}
}

/* One exchange after another, until one takes no check in full. */
static inline void warm_both(const struct pair *pair)
{
	uint64_t before;

	do {
		before = checks_in_full();
		exchange(pair, 1);
	} while (checks_in_full() != before);
}

static inline void expect_steady(const struct pair *pair)
{
	uint64_t before;

	warm_both(pair);
	before = checks_in_full();
	exchange(pair, PACKETS);
	cr_expect_eq(checks_in_full(), before);
}

/* A second socket of the same flow, connected to the peer of the first. */
static inline int second_socket(int one, int peer)
{
	int other = udp_socket(name_of(one, getsockname), true);

	udp_connect(other, name_of(peer, getsockname));
	return other;
}

#endif
