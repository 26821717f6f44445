/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections through a tunnel device are not latched, whatever protects the tunnel's own packets,
 *and are counted.
 *
 *	client --> gate_egress --> vxlan --> UDP of the kernel --> lo: nothing receives it
 */
#include "gate_rules.h"
#include "pretended_esp.h"
#include "udp.h"

#define THERE "10.77.0.2"

static void set_up(void)
{
	gate_set_up();
	attach_gates();
	attach(GATES_SOCKET);
	config.rule_count = 0;
	run("ip link add x0 type vxlan id 1 remote 127.0.0.2 dstport 4789 dev lo");
	run("ip addr add 10.77.0.1/24 dev x0");
	run("ip link set x0 up");
	run("ip neigh add " THERE " lladdr 02:00:00:00:00:02 dev x0");
}

TestSuite(gate_tunnel, .init = set_up, .fini = gate_tear_down, .timeout = 180);

static uint64_t tunnelled(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_UNLATCHED_TUNNEL];
}

static int client_of(const char *there)
{
	struct address address = address_of(there, 9);
	int fd = udp_socket(address_of("0.0.0.0", 0), true);

	udp_connect(fd, address);
	return fd;
}

Test(gate_tunnel, a_flow_through_a_tunnel_device_is_counted_once)
{
	int fd = client_of(THERE), other = client_of(THERE), i;

	for (i = 0; i < 5; i++)
		cr_expect_eq(udp_send(fd), 0);
	cr_expect_eq(tunnelled(), 1);
	cr_expect_eq(udp_send(other), 0);
	cr_expect_eq(tunnelled(), 2);
	close(fd);
	close(other);
}

Test(gate_tunnel, a_connection_through_a_tunnel_device_is_counted)
{
	struct address there = address_of(THERE, 9);
	int fd = new_socket(&there, NULL);

	begin_connect(fd, &there);
	wait_for(tunnelled() == 1);
	cr_expect_eq(tcp_state_of(fd), TCP_SYN_SENT);
	close(fd);
}

Test(gate_tunnel, a_flow_through_another_device_is_not_counted)
{
	struct pair pair = udp_pair(IPV4, IPV4);

	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(tunnelled(), 0);
	udp_close(&pair);
}

/* The count says nothing of the verdict: such a flow is in clear. */
Test(gate_tunnel, R_2_2_a_flow_through_a_tunnel_device_does_not_begin_under_require)
{
	int fd = client_of(THERE);

	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_expect_eq(udp_send(fd), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_REQUIRED).egress, 1);
	close(fd);
}
