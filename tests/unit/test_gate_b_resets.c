/* SPDX-License-Identifier: BSD-2-Clause */
/* Gate (b) and what the kernel sends by itself on a latched connection: on a loopback, in clear. */
#include "gate_b.h"
#include "tcp.h"

#include "latchd/kernel/tables.h"

static struct gate_b b;

static void start(void)
{
	gate_b_private_pins();
	gate_b_load(&b);
	tcp_set_up();
	gate_b_attach(&b, &ns);
}

static void finish(void)
{
	tcp_tear_down();
	object_release(&b.object);
}

TestSuite(gate_b_resets, .init = start, .fini = finish, .timeout = 60);

static void put_latch(const struct latch_flow *flow)
{
	struct latch latch = {
		.id = 1,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = 1, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(b.maps.latches, flow, &latch, BPF_ANY), 0);
}

static uint64_t plaintext_out(void)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&b.maps, drops), 0);
	return drops[LATCH_DROP_PLAINTEXT].egress;
}

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
 * is a whole one; but over IPv6 gate (a) is not asked.
 */
Test(gate_b_resets, R_2_4_a_reset_in_the_name_of_a_full_socket_does_not_leave_in_clear)
{
	struct pair pair = connect_pair(IPV6, IPV6, NULL);
	struct latch_flow flow = flow_of(pair.client);
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	cr_assert_eq(shutdown(pair.client, SHUT_RDWR), 0);
	await_state(pair.client, TCP_FIN_WAIT2);
	put_latch(&flow);
	cr_assert_eq(send(pair.server, "x", 1, MSG_NOSIGNAL), 1);
	while (!plaintext_out() && loop_now_ms() < limit)
		sched_yield();
	cr_expect_geq(plaintext_out(), 1);
	cr_expect_eq(pending_error(pair.server), 0);
	close_pair(&pair);
}
