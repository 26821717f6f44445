/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netfilter gate and the resets that the kernel sends on a latched connection.
 *
 *	client: FIN_WAIT2, shut down for reading     server
 *	      <------------- data --------------------
 *	      -- RST --> LOCAL_OUT: nf_gate_egress --x   (in clear, latched)
 *
 * netfilter_loopback.h has the rest.
 */
#include "netfilter_loopback.h"

#include "latch_mode.h"

TestSuite(netfilter_resets, .init = netfilter_start, .fini = netfilter_finish, .timeout = 60);

static void wait_for_state(int fd, int state)
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
 * Data for a socket that is shut down for reading makes the kernel send a reset. The kernel's
 * control socket sends it. Since Linux 6.13 the packet then belongs to the connection's own full
 * socket. Over IPv6 the kernel does not run the cgroup gate for it.
 */
Test(netfilter_resets, R_2_4_a_reset_in_clear_that_belongs_to_a_latched_full_socket_is_dropped)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	struct latch_flow flow = flow_of(pair.client);

	cr_assert_eq(shutdown(pair.client, SHUT_RDWR), 0);
	wait_for_state(pair.client, TCP_FIN_WAIT2);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_assert_eq(send(pair.server, "x", 1, MSG_NOSIGNAL), 1);
	wait_for_drop(LATCH_DROP_PLAINTEXT, true);
	cr_expect_eq(pending_error(pair.server), 0);
	close_pair(&pair);
}

/* The counterpart: shows that the kernel sends such a reset. */
Test(netfilter_resets, a_reset_in_clear_of_an_unlatched_connection_passes)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	struct pollfd ended = {.fd = pair.server};

	cr_assert_eq(shutdown(pair.client, SHUT_RDWR), 0);
	wait_for_state(pair.client, TCP_FIN_WAIT2);
	cr_assert_eq(send(pair.server, "x", 1, MSG_NOSIGNAL), 1);
	cr_assert_eq(poll(&ended, 1, LIMIT_MS), 1);
	cr_expect(ended.revents & POLLERR);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 0);
	close_pair(&pair);
}

/* ---- audit mode */

static void begin_audit(void)
{
	struct latch_settings settings = {.mode = 1};
	__u32 key = 0;

	cr_assert(latch_mode_is_audit(settings.mode));
	cr_assert_eq(bpf_map_update_elem(netfilter.maps.settings, &key, &settings, BPF_ANY), 0);
}

/* The wish of its socket holds in audit mode. */
static void check_in_audit(__u8 flags, bool passes)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct pollfd ended = {.fd = pair.server};
	struct latch latch;

	begin_audit();
	cr_assert_eq(shutdown(pair.client, SHUT_RDWR), 0);
	wait_for_state(pair.client, TCP_FIN_WAIT2);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	cr_assert_eq(bpf_map_lookup_elem(netfilter.maps.latches, &flow, &latch), 0);
	latch.rule_flags = flags;
	cr_assert_eq(bpf_map_update_elem(netfilter.maps.latches, &flow, &latch, BPF_ANY), 0);
	cr_assert_eq(send(pair.server, "x", 1, MSG_NOSIGNAL), 1);
	if (passes)
		cr_assert_eq(poll(&ended, 1, LIMIT_MS), 1);
	else
		wait_for_drop(LATCH_DROP_PLAINTEXT, true);
	cr_expect_eq(has_dropped(LATCH_DROP_PLAINTEXT, true), !passes);
	close_pair(&pair);
}

Test(netfilter_resets, in_audit_mode_a_reset_in_clear_of_a_latch_with_a_wish_is_dropped)
{
	check_in_audit(LATCH_RULE_WISHED, false);
}

Test(netfilter_resets, in_audit_mode_a_reset_in_clear_of_a_latch_without_a_wish_passes)
{
	check_in_audit(0, true);
}
