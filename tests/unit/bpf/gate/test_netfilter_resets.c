/* SPDX-License-Identifier: BSD-2-Clause */
/* The netfilter gate and what the kernel sends by itself on a latched connection: on a loopback, in
 * clear. */
#include "netfilter_loopback.h"

TestSuite(netfilter_resets, .init = netfilter_start, .fini = netfilter_finish, .timeout = 60);

static void await_state(int fd, int state)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	do {
		cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
		sched_yield();
	} while (info.tcpi_state != state && loop_now_ms() < limit);
	cr_assert_eq(info.tcpi_state, state);
}

/*
 * Data for one that has said that it reads no more draws a reset. The kernel's control
 * socket sends it, since Linux 6.13 in the name of the connection's own socket, which
 * is a whole one; but over IPv6 the cgroup gate is not asked.
 */
Test(netfilter_resets, R_2_4_a_reset_in_the_name_of_a_full_socket_does_not_leave_in_clear)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	struct latch_flow flow = flow_of(pair.client);

	cr_assert_eq(shutdown(pair.client, SHUT_RDWR), 0);
	await_state(pair.client, TCP_FIN_WAIT2);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_assert_eq(send(pair.server, "x", 1, MSG_NOSIGNAL), 1);
	await(LATCH_DROP_PLAINTEXT, true);
	cr_expect_eq(pending_error(pair.server), 0);
	close_pair(&pair);
}

/* Without a latch it does: so it would have come. */
Test(netfilter_resets, that_of_an_unlatched_connection_does)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	struct pollfd ended = {.fd = pair.server};

	cr_assert_eq(shutdown(pair.client, SHUT_RDWR), 0);
	await_state(pair.client, TCP_FIN_WAIT2);
	cr_assert_eq(send(pair.server, "x", 1, MSG_NOSIGNAL), 1);
	cr_assert_eq(poll(&ended, 1, LIMIT_MS), 1);
	cr_expect(ended.revents & POLLERR);
	cr_expect_eq(dropped(LATCH_DROP_PLAINTEXT).egress, 0);
	close_pair(&pair);
}
