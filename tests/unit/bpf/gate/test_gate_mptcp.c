/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One MPTCP connection over two subflows, both in clear:
 *
 *	        test's cgroup: gate_egress, gate_ingress
 *	+------------------------------------------------------------+
 *	| client 127.0.0.1 --- first, latched ----- server 127.0.0.1 |
 *	| client 127.0.0.2 --- second, unlatched --/                 |
 *	+------------------------------------------------------------+
 *
 * The gate drops the first subflow's packets in clear. MPTCP then sends their data over the second.
 */
#include "gate_fixture.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

TestSuite(gate_mptcp, .init = gate_set_up, .fini = gate_tear_down, .timeout = 120);

static int mptcp_socket(void)
{
	int fd = netns_socket(ns.fd, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd == -EPROTONOSUPPORT || fd == -EINVAL || fd == -ENOPROTOOPT)
		cr_skip_test("this kernel has no MPTCP");
	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	return fd;
}

static bool has_second_subflow(void)
{
	return run_in_namespace("ss -Htn state established | grep -q '127.0.0.2:'");
}

static struct pair connect_mptcp(void)
{
	struct address address = address_of("127.0.0.1", 0);
	struct pair pair;
	char byte;

	/* A socket takes the limits when it is created. */
	if (!run_in_namespace("ip mptcp limits set subflow 2 add_addr_accepted 2") ||
	    !run_in_namespace("ip mptcp endpoint add 127.0.0.2 subflow"))
		cr_skip_test("ip cannot configure MPTCP here");
	pair = (struct pair){.listener = mptcp_socket(), .client = mptcp_socket()};
	cr_assert_eq(bind(pair.listener, &address.any, address.length), 0);
	cr_assert_eq(listen(pair.listener, 8), 0);
	address = name_of(pair.listener, getsockname);
	cr_assert_eq(connect(pair.client, &address.any, address.length), 0);
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	set_no_delay(pair.client);
	/* The second subflow follows the first data in both directions. */
	send_byte(pair.client);
	cr_assert_eq(recv(pair.server, &byte, 1, 0), 1);
	send_byte(pair.server);
	cr_assert_eq(recv(pair.client, &byte, 1, 0), 1);
	wait_for(has_second_subflow());
	return pair;
}

static unsigned int drops_of_second_subflow(void)
{
	static const uint8_t second[4] = {127, 0, 0, 2};
	unsigned int i, found = 0;

	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	for (i = 0; i < event_count; i++)
		found += events_seen[i].type == LATCH_EVENT_DROP &&
			 !memcmp(events_seen[i].flow.local_addr, second, sizeof(second)) &&
			 events_seen[i].packet == LATCH_DIRECTION_OUT;
	return found;
}

Test(gate_mptcp, no_other_subflow_carries_the_data_of_a_latched_subflow_in_clear)
{
	struct latch_flow there, back;
	struct pair pair = connect_mptcp();
	int i;

	set_drop_event_interval(0);
	there = flow_of(pair.client);
	back = other_end(there);
	put_latch(&there, LATCH_OWNER_SOCKET);
	put_latch(&back, LATCH_OWNER_SOCKET);
	attach_gates();
	for (i = 0; i < 20; i++)
		send_byte(pair.client);
	wait_for(drops_of_second_subflow() > 0 || is_readable(pair.server));
	cr_expect_gt(drops_of_second_subflow(), 0);
	cr_expect_not(is_readable(pair.server), "data arrived in clear over another subflow");
	close_pair(&pair);
}

Test(gate_mptcp, all_subflows_carry_data_in_clear_without_a_latch)
{
	struct pair pair = connect_mptcp();

	attach_gates();
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	cr_expect_eq(drops_in_all().egress, 0);
	cr_expect_eq(drops_in_all().ingress, 0);
	close_pair(&pair);
}
