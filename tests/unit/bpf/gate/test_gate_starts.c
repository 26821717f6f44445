/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that start a flow at the cgroup gate and packets that do not, and the direction of the
 * flow. All packets are in clear, save one that is sent as protocol 50.
 *
 *	        test's cgroup: gate_egress, gate_ingress, watch_socket
 *	+----------------------------------------------------------+
 *	| client, raw socket ---- SYN, ACK, RST ... ----> listener |
 *	+----------------------------------------------------------+
 *	          rules, sas ----> verdict ----> latches, drops
 */
#include "gate_rules.h"

#include "tcp_segment.h"

TestSuite(gate_starts, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

/* ---- raw sockets */

/*
 * The "port" of a raw socket is the number of its protocol, and it has no peer: no rule matches it.
 * The kernel's control socket is a raw socket, too. It sends resets, and acknowledgements in
 * TIME_WAIT. The netfilter gate checks these by the packet.
 */
Test(gate_starts, a_rule_does_not_match_a_raw_socket)
{
	struct address there = address_of(IPV4, 9);
	const uint8_t segment[20] = {0, 9, 0, 9};
	int fd = netns_socket(ns.fd, AF_INET, SOCK_RAW, IPPROTO_TCP);

	cr_assert_geq(fd, 0);
	attach_gates();
	put_rule(LATCH_ACTION_OFF, LATCH_DIRECTION_NONE, IPV4);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_expect_eq(sendto(fd, segment, sizeof(segment), 0, &there.any, there.length),
		     sizeof(segment), "%s", strerror(errno));
	wait_for(is_readable(fd));
	cr_expect_eq(drops_in_all().egress + drops_in_all().ingress, 0);
	close(fd);
}

/* ---- the direction of a flow */

static int connect_to_itself(void)
{
	int fd = bound_socket(IPV4, NULL);
	struct address here = name_of(fd, getsockname);

	cr_assert_eq(connect(fd, &here.any, here.length), 0, "%s", strerror(errno));
	set_no_delay(fd);
	return fd;
}

/*
 * A simultaneous open: the SYN of a socket crosses the peer's, here its own. The handshake then
 * ends with the callback of an accepted connection.
 */
Test(gate_starts, a_simultaneous_open_has_direction_out_at_both_ends)
{
	int fd;

	attach_gates();
	attach(GATES_SOCKET);
	fd = connect_to_itself();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	expect_alive(fd, fd);
	clear_rules();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	send_byte(fd);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(fd));
	close(fd);
}

/* ---- at a listener */

static uint64_t refused_by(const struct latch_flow *listener)
{
	return latch_of(listener).refused;
}

static struct latch_flow flow_of_listener(int fd)
{
	struct latch_flow flow = flow_between(name_of(fd, getsockname), address_of(IPV4, 0));

	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	return flow;
}

/* A segment that TCP takes for a connection request or for the answer to a SYN cookie. */
Test(gate_starts, only_a_syn_or_an_ack_segment_starts_a_flow_at_a_listener)
{
	static const struct {
		uint8_t flags;
		bool starts;
	} segments[] = {
		{TH_SYN, true},
		{TH_SYN | TH_PUSH, true},
		{TH_ACK, true},
		{TH_ACK | TH_PUSH, true},
		{TH_ACK | TH_FIN, true},
		{TH_ACK | TH_FIN | TH_PUSH | TH_URG, true},
		{TH_RST, false},
		{TH_RST | TH_ACK, false},
		{TH_RST | TH_ACK | TH_FIN, false},
		{TH_SYN | TH_ACK, false},
		{TH_FIN, false},
		{0, false},
	};
	struct latch_flow flow;
	int listener;
	size_t i;

	attach_gates();
	attach(GATES_SOCKET);
	listener = start_listener(IPV4, NULL);
	flow = flow_of_listener(listener);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	for (i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		uint64_t before = refused_by(&flow);
		struct address there = name_of(listener, getsockname);

		send_segment(&there.v4, (uint16_t)(20000 + i), segments[i].flags);
		wait_for(drops_for(LATCH_DROP_REQUIRED).ingress == i + 1);
		cr_expect_eq(refused_by(&flow) - before, segments[i].starts, "flags 0x%02x",
			     segments[i].flags);
	}
	close(listener);
}

/*
 * An ACK does not show that TIME_WAIT is over. Packets of a connection that was aborted here may be
 * in flight, too, and they belong to the old latch.
 */
Test(gate_starts, only_a_syn_releases_the_latch_of_a_time_wait)
{
	struct latch_flow flow;
	struct address there;
	int listener;

	attach_gates();
	listener = start_listener(IPV4, NULL);
	there = name_of(listener, getsockname);
	flow = flow_between(there, address_of(IPV4, 20000));
	put_latch(&flow, LATCH_OWNER_TIME_WAIT);
	send_segment(&there.v4, 20000, TH_ACK);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress == 1);
	send_segment(&there.v4, 20000, TH_ACK | TH_FIN);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress == 2);
	cr_expect_eq(latch_of(&flow).id, LATCH_ID);
	send_segment(&there.v4, 20000, TH_SYN);
	wait_for(!has_latch(&flow));
	cr_expect_eq(drops_in_all().ingress, 2);
	close(listener);
}

/* ---- a latch that the gate creates */

/* Segments to that port then leave with protocol 50 (ESP): their ports are the SPI. */
static void pretend_esp(uint16_t port)
{
	char command[200];

	snprintf(command, sizeof(command),
		 "sh -c \"nft 'table ip pretend { chain out { type filter hook output priority 0;"
		 " tcp dport %u ip protocol set 50; }; }'\"",
		 port);
	if (!run_in_namespace(command))
		cr_skip_test("nft cannot change a packet's protocol here");
}

static void bind_sa(const struct latch_flow *flow, __u16 params)
{
	struct latch_sa_key key = {
		.netns = flow->netns,
		.spi = (__u32)flow->local_port << 16 | flow->remote_port,
		.protocol = IPPROTO_ESP,
		.family = flow->family,
	};
	struct latch_sa sa = {.word = {.serial = 1, .params = params, .state = LATCH_SA_BOUND}};

	memcpy(key.daddr, flow->remote_addr, sizeof(key.daddr));
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	forget_passes();
}

/* Else the next SYN would create another latch, and a SYN/ACK in clear would pass. */
Test(gate_starts, a_latch_closed_before_the_syn_ack_keeps_its_socket_blocked)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL);
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow = flow_to(client, IPV4, listener);
	struct latch latch;

	pretend_esp(flow.remote_port);
	bind_sa(&flow, 3);
	attach_gates();
	attach(GATES_SOCKET);
	begin_connect(client, &there);
	wait_for(has_latch(&flow));
	latch = latch_of(&flow);
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch.word.params, 3);
	cr_expect_eq(latch.direction, LATCH_DIRECTION_OUT);
	cr_expect_eq(latch.owner, LATCH_OWNER_SOCKET);
	cr_expect_eq(latch.socket_cookie, cookie_of(client));
	cr_assert_eq(latch_close(&maps, &flow, latch.id), LATCH_CONTROL_DONE);
	wait_for(drops_for(LATCH_DROP_CLOSED).egress);
	cr_expect_not(has_latch(&flow));
	close(client);
	close(listener);
}

/* ---- TCP Fast Open (RFC 7413) */

static int fast_open_listener(void)
{
	int fd = start_listener(IPV4, NULL), length = 8;

	/* For the client and the server, both without a cookie. */
	if (!run_in_namespace("sysctl -qw net.ipv4.tcp_fastopen=0x207"))
		cr_skip_test("no TCP fast open here");
	cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &length, sizeof(length)), 0);
	return fd;
}

static int open_with_data(int listener)
{
	struct address there = name_of(listener, getsockname);
	int fd = new_socket(&there, NULL);

	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert(sendto(fd, "x", 1, MSG_FASTOPEN, &there.any, there.length) == 1 ||
			  errno == EINPROGRESS,
		  "%s", strerror(errno));
	return fd;
}

/* The SYN carries data: without the rule the data is readable at once. */
Test(gate_starts, R_2_3_require_blocks_fast_open_data_in)
{
	int listener = fast_open_listener(), client, server;
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	attach_gates();
	attach(GATES_SOCKET);
	client = open_with_data(listener);
	wait_for(is_readable(listener));
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert(is_readable(server));
	cr_assert_eq(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	cr_assert(info.tcpi_options & TCPI_OPT_SYN_DATA);
	close(client);
	close(server);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	client = open_with_data(listener);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_not(is_readable(listener));
	close(client);
	close(listener);
}

Test(gate_starts, R_2_2_require_blocks_fast_open_data_out)
{
	int listener = fast_open_listener(), client;

	attach_gates();
	attach(GATES_SOCKET);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	client = open_with_data(listener);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_eq(drops_in_all().ingress, 0);
	cr_expect_not(is_readable(listener));
	close(client);
	close(listener);
}

/* ---- rules that are loaded during a handshake */

/* The listener waits for data before accept(): the client's end is already ESTABLISHED. */
static int deferring_listener(void)
{
	int fd = start_listener(IPV4, NULL), seconds = 60;

	cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	return fd;
}

Test(gate_starts, R_2_3_require_blocks_a_handshake_in_clear_that_started_before_the_rule)
{
	int listener = deferring_listener(), client;

	attach_gates();
	attach(GATES_SOCKET);
	client = connect_to(IPV4, listener, NULL);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	send_byte(client);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_not(is_readable(listener));
	clear_rules();
	wait_for(is_readable(listener));
	close(client);
	close(listener);
}

/* ---- another cgroup */

/*
 * An accepted socket has the cgroup of its listener, not of the process that accepts it. The
 * listener is created outside the test's cgroup.
 */
Test(gate_starts, a_socket_stays_in_the_cgroup_of_its_creation)
{
	struct pair pair;

	attach_gates();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_assert_eq(cgroup_move_to(cgroup_before), 0);
	pair.listener = start_listener(IPV4, NULL);
	pair.client = connect_to(IPV4, pair.listener, NULL);
	cr_assert_eq(cgroup_move_to(cgroup_path), 0);
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	cr_expect_eq(drops_in_all().egress + drops_in_all().ingress, 0);
	close_pair(&pair);
}
