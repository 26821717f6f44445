/* SPDX-License-Identifier: BSD-2-Clause */
/* Gate (b) and packets of no latch, where a rule requires one: on a loopback, all in clear. */
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

TestSuite(gate_b_rules, .init = start, .fini = finish, .timeout = 120);

/* Without latchd's control program: the first half is in force at first. */
static void require(enum latch_direction direction, __u8 flags)
{
	struct latch_settings settings = {.rule_count = 1};
	struct latch_rule rule = {
		.action = LATCH_ACTION_REQUIRE,
		.direction = direction,
		.protocol = IPPROTO_TCP,
		.local_port_last = 65535,
		.remote_port_last = 65535,
		.flags = LATCH_RULE_REQUIRE | flags,
	};
	__u32 key = 0;

	cr_assert_eq(bpf_map_update_elem(b.maps.rules, &key, &rule, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(b.maps.settings, &key, &settings, BPF_ANY), 0);
}

static struct latch_drop_count required(void)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&b.maps, drops), 0);
	return drops[LATCH_DROP_REQUIRED];
}

static void await(bool egress)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	while (!(egress ? required().egress : required().ingress) && loop_now_ms() < limit)
		sched_yield();
	cr_assert(egress ? required().egress : required().ingress, "nothing was dropped");
}

/* A port that was somebody's a moment ago. */
static struct address free_port(const char *text)
{
	int fd = start_listener(text, NULL);
	struct address address = name_of(fd, getsockname);

	close(fd);
	return address;
}

static int start_connect(const struct address *to)
{
	int fd = new_socket(to, NULL);

	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_neq(connect(fd, &to->any, to->length), 0);
	return fd;
}

static int outcome(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	cr_assert_eq(poll(&ready, 1, LIMIT_MS), 1, "no outcome");
	return pending_error(fd);
}

static void drops_a_request(const char *text)
{
	int listener = start_listener(text, NULL);
	struct address there = name_of(listener, getsockname);
	int fd = start_connect(&there);

	await(false);
	cr_expect_eq(required().egress, 0);
	close(fd);
	close(listener);
}

Test(gate_b_rules, R_2_3_a_request_in_clear_does_not_arrive)
{
	require(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	drops_a_request(IPV4);
}

Test(gate_b_rules, R_2_3_nor_one_of_ipv6)
{
	require(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	drops_a_request(IPV6);
}

/* The rule is for the other way, so the request passes; of the reset nobody knows the way. */
Test(gate_b_rules, R_2_2_a_reset_in_clear_does_not_leave)
{
	struct address nobody = free_port(IPV4);
	int fd;

	require(LATCH_DIRECTION_OUT, LATCH_RULE_SOCKETLESS);
	fd = start_connect(&nobody);
	await(true);
	cr_expect_eq(required().ingress, 0);
	cr_expect_eq(pending_error(fd), 0);
	close(fd);
}

Test(gate_b_rules, a_syn_ack_is_of_a_connection_that_was_accepted)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct address there = name_of(listener, getsockname);

	require(LATCH_DIRECTION_OUT, LATCH_RULE_SOCKETLESS);
	fd = start_connect(&there);
	cr_expect_eq(outcome(fd), 0);
	close(fd);
	close(listener);
}

/* With a cgroup below the root there are sockets that are none of our business. */
Test(gate_b_rules, where_not_every_socket_is_watched_gate_a_decides_alone)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct address there = name_of(listener, getsockname), nobody = free_port(IPV4);

	require(LATCH_DIRECTION_NONE, 0);
	fd = start_connect(&there);
	cr_expect_eq(outcome(fd), 0);
	close(fd);
	fd = start_connect(&nobody);
	cr_expect_eq(outcome(fd), ECONNREFUSED);
	cr_expect_eq(required().egress + required().ingress, 0);
	close(fd);
	close(listener);
}

Test(gate_b_rules, full_sockets_are_the_other_gates)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	require(LATCH_DIRECTION_NONE, LATCH_RULE_SOCKETLESS);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	cr_expect_eq(required().egress + required().ingress, 0);
	close_pair(&pair);
}
