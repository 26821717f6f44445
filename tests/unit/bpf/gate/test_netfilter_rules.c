/* SPDX-License-Identifier: BSD-2-Clause */
/* The netfilter gate and packets of no latch, where a rule requires one: on a loopback, all in
 * clear. */
#include "netfilter_loopback.h"

#include "latchd/net/socket_diag.h"

TestSuite(netfilter_rules, .init = netfilter_start, .fini = netfilter_finish, .timeout = 120);

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
	return dropped(LATCH_DROP_REQUIRED);
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

	await(LATCH_DROP_REQUIRED, false);
	cr_expect_eq(required().egress, 0);
	close(fd);
	close(listener);
}

Test(netfilter_rules, R_2_3_a_request_in_clear_does_not_arrive)
{
	require(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	drops_a_request(IPV4);
}

Test(netfilter_rules, R_2_3_nor_one_of_ipv6)
{
	require(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	drops_a_request(IPV6);
}

/* The rule is for the other way, so the request passes; of the reset nobody knows the way. */
Test(netfilter_rules, R_2_2_a_reset_in_clear_does_not_leave)
{
	struct address nobody = free_port(IPV4);
	int fd;

	require(LATCH_DIRECTION_OUT, LATCH_RULE_SOCKETLESS);
	fd = start_connect(&nobody);
	await(LATCH_DROP_REQUIRED, true);
	cr_expect_eq(required().ingress, 0);
	cr_expect_eq(pending_error(fd), 0);
	close(fd);
}

Test(netfilter_rules, a_syn_ack_is_of_a_connection_that_was_accepted)
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
Test(netfilter_rules, where_not_every_socket_is_watched_gate_a_decides_alone)
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

Test(netfilter_rules, full_sockets_are_the_other_gates)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	require(LATCH_DIRECTION_NONE, LATCH_RULE_SOCKETLESS);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	cr_expect_eq(required().egress + required().ingress, 0);
	close_pair(&pair);
}

/* Such as the kernel's own, of which the cgroup gate knows no flow. */
Test(netfilter_rules, R_2_2_what_a_raw_socket_sends_in_clear_does_not_leave)
{
	struct address nobody = free_port(IPV4);
	const uint8_t segment[20] = {0, 9, 0, 9};
	int fd = netns_socket(ns.fd, AF_INET, SOCK_RAW, IPPROTO_TCP);

	cr_assert_geq(fd, 0);
	nobody.v4.sin_port = 0;
	require(LATCH_DIRECTION_NONE, LATCH_RULE_SOCKETLESS);
	cr_expect_eq(sendto(fd, segment, sizeof(segment), 0, &nobody.any, nobody.length), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(required().egress, 1);
	close(fd);
}

/* ---- TIME_WAIT */

/* The server's end is in TIME_WAIT afterwards, its port free for another listener. */
static struct latch_flow end_in_time_wait(struct pair *pair)
{
	struct latch_flow flow = flow_of(pair->server);
	char byte;

	cr_assert_eq(shutdown(pair->server, SHUT_WR), 0);
	cr_assert_eq(recv(pair->client, &byte, 1, 0), 0);
	close(pair->client);
	cr_assert_eq(recv(pair->server, &byte, 1, 0), 0);
	close(pair->server);
	return flow;
}

/* From the port that the connection had: a full socket, so that this gate sees it arrive only. */
static int connect_again(const struct latch_flow *flow, const struct address *there)
{
	struct address here = address_of(IPV4, flow->remote_port);
	int fd = new_socket(&here, NULL), on = 1;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, &here.any, here.length), 0, "%s", strerror(errno));
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_neq(connect(fd, &there->any, there->length), 0);
	return fd;
}

/* Anybody may have sent it: it is not to end what still waits for packets of its peer. */
Test(netfilter_rules, R_2_3_a_request_in_clear_does_not_end_time_wait)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct address there = name_of(pair.listener, getsockname);
	struct latch_flow flow = end_in_time_wait(&pair);
	int fd;

	cr_assert_eq(socket_diag_find(&flow), 0);
	put_latch(&flow, LATCH_OWNER_TIME_WAIT);
	require(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	fd = connect_again(&flow, &there);
	await(LATCH_DROP_REQUIRED, false);
	cr_expect_eq(required().egress, 0);
	cr_expect_eq(socket_diag_find(&flow), 0, "it is no longer in TIME_WAIT");
	close(fd);
	close(pair.listener);
}

/* Where no rule requires one it reaches the listener. The answer has still the old latch. */
Test(netfilter_rules, without_a_rule_it_does)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct address there = name_of(pair.listener, getsockname);
	struct latch_flow flow = end_in_time_wait(&pair);
	int fd;

	put_latch(&flow, LATCH_OWNER_TIME_WAIT);
	fd = connect_again(&flow, &there);
	await(LATCH_DROP_PLAINTEXT, true);
	cr_expect_eq(dropped(LATCH_DROP_PLAINTEXT).ingress, 0);
	close(fd);
	close(pair.listener);
}
