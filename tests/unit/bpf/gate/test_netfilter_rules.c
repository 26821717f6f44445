/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netfilter gate and packets without a latch, where a rule requires one. The packets belong to
 * no full socket: SYN at a listener, reset, SYN/ACK, TIME_WAIT, raw socket.
 *
 *	client --> LOCAL_OUT: nf_gate_egress --> lo --> LOCAL_IN: nf_gate_ingress --> listener,
 *	                                                                              TIME_WAIT
 *	rule: require + LATCH_RULE_SOCKETLESS
 *
 * netfilter_loopback.h has the rest.
 */
#include "netfilter_loopback.h"

#include "latchd/net/socket_diag.h"

TestSuite(netfilter_rules, .init = netfilter_start, .fini = netfilter_finish, .timeout = 120);

/* Written into the maps without latchd's control program: the first half of the map is in force. */
static void put_require_rule(enum latch_direction direction, __u8 flags)
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

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.rules, &key, &rule, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(netfilter.maps.settings, &key, &settings, BPF_ANY), 0);
}

static struct latch_drop_count required_drops(void)
{
	return drops_for(LATCH_DROP_REQUIRED);
}

/* The port of a listener that is closed again. */
static struct address unused_port(const char *text)
{
	int fd = start_listener(text, NULL);
	struct address address = name_of(fd, getsockname);

	close(fd);
	return address;
}

static int start_connect(const struct address *to)
{
	int fd = new_socket(to, NULL);

	begin_connect(fd, to);
	return fd;
}

static int connect_result(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	cr_assert_eq(poll(&ready, 1, LIMIT_MS), 1, "connect() has no result yet");
	return pending_error(fd);
}

static void check_request_dropped(const char *text)
{
	int listener = start_listener(text, NULL);
	struct address there = name_of(listener, getsockname);
	int fd = start_connect(&there);

	wait_for_drop(LATCH_DROP_REQUIRED, false);
	cr_expect_eq(required_drops().egress, 0);
	close(fd);
	close(listener);
}

Test(netfilter_rules, R_2_3_require_drops_an_ipv4_request_in_clear)
{
	put_require_rule(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	check_request_dropped(IPV4);
}

Test(netfilter_rules, R_2_3_require_drops_an_ipv6_request_in_clear)
{
	put_require_rule(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	check_request_dropped(IPV6);
}

/*
 * The rule has the other direction, so the request passes. The flow of a reset has no known
 * direction: a rule of either direction matches.
 */
Test(netfilter_rules, R_2_2_require_drops_an_outgoing_reset_in_clear)
{
	struct address closed = unused_port(IPV4);
	int fd;

	put_require_rule(LATCH_DIRECTION_OUT, LATCH_RULE_SOCKETLESS);
	fd = start_connect(&closed);
	wait_for_drop(LATCH_DROP_REQUIRED, true);
	cr_expect_eq(required_drops().ingress, 0);
	cr_expect_eq(pending_error(fd), 0);
	close(fd);
}

Test(netfilter_rules, require_out_does_not_match_a_syn_ack_of_an_accepted_connection)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct address there = name_of(listener, getsockname);

	put_require_rule(LATCH_DIRECTION_OUT, LATCH_RULE_SOCKETLESS);
	fd = start_connect(&there);
	cr_expect_eq(connect_result(fd), 0);
	close(fd);
	close(listener);
}

/* With a cgroup below the root, sockets outside that cgroup are not latchd's. */
Test(netfilter_rules, a_rule_without_socketless_flag_matches_no_packet_without_a_full_socket)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct address there = name_of(listener, getsockname), closed = unused_port(IPV4);

	put_require_rule(LATCH_DIRECTION_NONE, 0);
	fd = start_connect(&there);
	cr_expect_eq(connect_result(fd), 0);
	close(fd);
	fd = start_connect(&closed);
	cr_expect_eq(connect_result(fd), ECONNREFUSED);
	cr_expect_eq(required_drops().egress + required_drops().ingress, 0);
	close(fd);
	close(listener);
}

Test(netfilter_rules, require_leaves_packets_of_full_sockets_to_the_cgroup_gate)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	put_require_rule(LATCH_DIRECTION_NONE, LATCH_RULE_SOCKETLESS);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	cr_expect_eq(required_drops().egress + required_drops().ingress, 0);
	close_pair(&pair);
}

/* The kernel's control socket is a raw socket, too: the cgroup gate sees no flow of it. */
Test(netfilter_rules, R_2_2_require_drops_a_tcp_packet_of_a_raw_socket_in_clear)
{
	struct address closed = unused_port(IPV4);
	const uint8_t segment[20] = {0, 9, 0, 9};
	int fd = netns_socket(ns.fd, AF_INET, SOCK_RAW, IPPROTO_TCP);

	cr_assert_geq(fd, 0);
	closed.v4.sin_port = 0;
	put_require_rule(LATCH_DIRECTION_NONE, LATCH_RULE_SOCKETLESS);
	cr_expect_eq(sendto(fd, segment, sizeof(segment), 0, &closed.any, closed.length), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(required_drops().egress, 1);
	close(fd);
}

/* ---- TIME_WAIT */

/* The server's end is in TIME_WAIT afterwards. */
static struct latch_flow end_in_time_wait(struct pair *pair)
{
	struct latch_flow flow = flow_of(pair->server);

	close_in_order(pair->server, pair->client);
	return flow;
}

/* From the port of the old connection: a full socket, so this gate checks the SYN only at LOCAL_IN.
 */
static int connect_again(const struct latch_flow *flow, const struct address *there)
{
	struct address here = address_of(IPV4, flow->remote_port);
	int fd = new_socket(&here, NULL), on = 1;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, &here.any, here.length), 0, "%s", strerror(errno));
	begin_connect(fd, there);
	return fd;
}

/* Any host may have sent the SYN, and a TIME_WAIT still waits for packets of its peer. */
Test(netfilter_rules, R_2_3_require_keeps_time_wait_when_a_syn_in_clear_arrives)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct address there = name_of(pair.listener, getsockname);
	struct latch_flow flow = end_in_time_wait(&pair);
	int fd;

	cr_assert_eq(socket_diag_find(&flow), 0);
	put_latch(&flow, LATCH_OWNER_TIME_WAIT);
	put_require_rule(LATCH_DIRECTION_IN, LATCH_RULE_SOCKETLESS);
	fd = connect_again(&flow, &there);
	wait_for_drop(LATCH_DROP_REQUIRED, false);
	cr_expect_eq(required_drops().egress, 0);
	cr_expect_eq(socket_diag_find(&flow), 0, "the connection is no longer in TIME_WAIT");
	close(fd);
	close(pair.listener);
}

/*
 * Without a rule the SYN reaches the listener. Its SYN/ACK still has the old latch: the drop at
 * LOCAL_OUT shows that it was sent.
 */
Test(netfilter_rules, a_syn_in_clear_ends_time_wait_without_a_rule)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct address there = name_of(pair.listener, getsockname);
	struct latch_flow flow = end_in_time_wait(&pair);
	int fd;

	put_latch(&flow, LATCH_OWNER_TIME_WAIT);
	fd = connect_again(&flow, &there);
	wait_for_drop(LATCH_DROP_PLAINTEXT, true);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).ingress, 0);
	close(fd);
	close(pair.listener);
}
