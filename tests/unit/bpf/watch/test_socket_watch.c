/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owner of a latch from the start of its connection to the end, by the callbacks of the socket
 * watch.
 *
 *	  test's cgroup: watch_socket (sock_ops), often also gate_egress, gate_ingress
 *	+--------------------------------------------------------------+
 *	| client <---- handshake, data, FIN, RST in clear ----> server |
 *	+-----|-------------------------------------------------|------+
 *	      +--> latches: HANDSHAKE -> SOCKET -> TIME_WAIT    <+
 *	                    put there by the test
 */
#include "gate_fixture.h"

#include "latchd/net/socket_diag.h"

TestSuite(socket_watch, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

/* The client is bound and not yet connected: both flows are known before their first packet. */
struct start {
	int listener, client;
	struct address there;
	struct latch_flow out, in; /* the client's and the server's */
};

static struct start prepare(const char *listen_on, const char *connect_from)
{
	struct start start = {
		.listener = start_listener(listen_on, NULL),
		.client = bound_socket(connect_from, NULL),
	};

	start.there = address_of(connect_from, port_of(start.listener));
	start.out = flow_between(name_of(start.client, getsockname), start.there);
	start.in = other_end(start.out);
	return start;
}

static int try_connect(const struct start *start)
{
	return connect(start->client, &start->there.any, start->there.length) ? -errno : 0;
}

static struct pair finish(const struct start *start)
{
	struct pair pair = {.listener = start->listener, .client = start->client};

	cr_assert_eq(try_connect(start), 0, "%s", strerror(errno));
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	return pair;
}

/* Both ends have a latch, as if the gate had created both with the handshake. */
static struct pair latched_pair(struct start *start, const char *listen_on,
				const char *connect_from)
{
	*start = prepare(listen_on, connect_from);
	put_latch(&start->out, LATCH_OWNER_HANDSHAKE);
	put_latch(&start->in, LATCH_OWNER_HANDSHAKE);
	return finish(start);
}

static void expect_owner(const struct latch_flow *flow, int fd)
{
	struct latch latch = latch_of(flow);

	cr_expect_eq(latch.owner, LATCH_OWNER_SOCKET);
	cr_expect_eq(latch.socket_cookie, cookie_of(fd));
	cr_expect_gt(latch.owner_since, 1000);
	cr_expect_eq(latch.id, LATCH_ID);
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch.word.generation, 9);
}

static void expect_released(const struct latch_flow *flow)
{
	struct latch_event event = {0};

	wait_for(!has_latch(flow));
	wait_for(events_of(LATCH_EVENT_LATCH_CLOSED, flow, &event));
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, flow, NULL), 1);
	cr_expect_eq(event.latch_id, LATCH_ID);
	cr_expect_eq(event.word.state, LATCH_STATE_CLOSED);
	cr_expect_eq(event.word.params, 3);
}

static void expect_time_wait(const struct latch_flow *flow)
{
	wait_for(latch_of(flow).owner == LATCH_OWNER_TIME_WAIT);
	cr_expect_eq(latch_of(flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, flow, NULL), 0);
}

static void abort_connection(int fd)
{
	struct linger linger = {.l_onoff = 1};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

/* ---- begin */

Test(socket_watch, each_end_owns_its_latch_once_the_connection_is_established)
{
	size_t i;

	attach(GATES_SOCKET);
	for (i = 0; i < TCP_WAYS; i++) {
		struct start start;
		struct pair pair = latched_pair(&start, tcp_ways[i][0], tcp_ways[i][1]);

		expect_owner(&start.out, pair.client);
		expect_owner(&start.in, pair.server);
		close_pair(&pair);
	}
}

Test(socket_watch, a_connection_does_not_take_the_latch_of_another_connection)
{
	struct start one = prepare(IPV4, IPV4), other = prepare(IPV4, IPV4);
	struct pair pair;

	attach(GATES_SOCKET);
	put_latch(&other.out, LATCH_OWNER_HANDSHAKE);
	pair = finish(&one);
	close_pair(&pair);
	cr_expect_eq(latch_of(&other.out).owner, LATCH_OWNER_HANDSHAKE);
	cr_expect_eq(latch_of(&other.out).socket_cookie, 0);
	close(other.client);
	close(other.listener);
}

/* ---- end */

Test(socket_watch, R_2_3_19_the_end_that_closes_first_keeps_its_latch_through_time_wait)
{
	size_t i;

	attach(GATES_SOCKET);
	for (i = 0; i < TCP_WAYS; i++) {
		struct start start;
		struct pair pair = latched_pair(&start, tcp_ways[i][0], tcp_ways[i][1]);

		close_in_order(pair.client, pair.server);
		expect_released(&start.in);
		expect_time_wait(&start.out);
		close(pair.listener);
	}
}

Test(socket_watch, R_2_3_19_L_5_1_4_a_refused_connect_releases_its_latch)
{
	struct start start = prepare(IPV4, IPV4);

	attach(GATES_SOCKET);
	put_latch_of(&start.out, start.client);
	close(start.listener);
	cr_expect_eq(try_connect(&start), -ECONNREFUSED);
	expect_released(&start.out);
	close(start.client);
}

Test(socket_watch, closing_a_listener_does_not_change_the_latches_of_its_connections)
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = latched_pair(&start, IPV4, IPV4);
	close(pair.listener);
	expect_owner(&start.out, pair.client);
	expect_owner(&start.in, pair.server);
	close(pair.client);
	close(pair.server);
}

/* ---- a SYN of a flow in TIME_WAIT */

static void check_new_syn(const char *listen_on, const char *connect_from, bool outgoing)
{
	struct start start = prepare(listen_on, connect_from);
	const struct latch_flow *flow = outgoing ? &start.out : &start.in;
	struct pair pair;

	put_latch(flow, LATCH_OWNER_TIME_WAIT);
	pair = finish(&start);
	expect_released(flow);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	close_pair(&pair);
}

Test(socket_watch, a_syn_to_a_listener_releases_the_latch_of_a_time_wait)
{
	size_t i;

	attach_gates();
	for (i = 0; i < TCP_WAYS; i++)
		check_new_syn(tcp_ways[i][0], tcp_ways[i][1], false);
}

Test(socket_watch, a_syn_from_a_reused_port_releases_the_latch_of_a_time_wait)
{
	size_t i;

	attach_gates();
	for (i = 0; i < TCP_WAYS; i++)
		check_new_syn(tcp_ways[i][0], tcp_ways[i][1], true);
}

/* Only a SYN shows that TIME_WAIT is over. */
Test(socket_watch, data_does_not_release_the_latch_of_a_time_wait)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);

	put_latch(&flow, LATCH_OWNER_TIME_WAIT);
	attach_gates();
	send_byte(pair.client);
	send_byte(pair.server);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).egress);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress);
	cr_expect_eq(latch_of(&flow).id, LATCH_ID);
	close_pair(&pair);
}

/* ---- no packet evades its latch, and no socket takes the latch of another */

/* TCP sends the reset after the callback: the gate still checks it against the latch. */
static void check_abort(void (*abort_pair)(const struct pair *))
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = latched_pair(&start, IPV4, IPV4);
	attach_gates();
	abort_pair(&pair);
	wait_for(drops_in_all().egress);
	cr_expect_eq(drops_for_others(LATCH_DROP_PLAINTEXT).egress, 0);
	expect_time_wait(&start.out);
	close(pair.server);
	close(pair.listener);
}

static void abort_client(const struct pair *pair)
{
	abort_connection(pair->client);
}

Test(socket_watch, the_reset_of_an_aborted_connection_is_checked_against_its_latch)
{
	check_abort(abort_client);
}

static void disconnect(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	cr_assert_eq(connect(fd, &none, sizeof(none)), 0);
}

static void disconnect_client(const struct pair *pair)
{
	disconnect(pair->client);
	close(pair->client);
}

Test(socket_watch, the_reset_of_a_disconnected_socket_is_checked_against_its_latch)
{
	check_abort(disconnect_client);
}

/* Without the gates: the reset arrives. */
Test(socket_watch, R_2_3_19_L_5_1_4_a_reset_from_the_peer_releases_the_latch)
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = latched_pair(&start, IPV4, IPV4);
	abort_connection(pair.server);
	expect_released(&start.out);
	cr_expect_eq(pending_error(pair.client), ECONNRESET);
	close(pair.client);
	close(pair.listener);
}

Test(socket_watch, the_event_of_the_end_has_rule_and_drops_of_the_latch)
{
	struct start start = prepare(IPV4, IPV4);
	struct latch_event event = {0};
	struct latch latch;

	attach(GATES_SOCKET);
	put_latch_of(&start.out, start.client);
	latch = latch_of(&start.out);
	latch.rule = 5;
	latch.rule_set = 9;
	latch.drops = 17;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &start.out, &latch, BPF_EXIST), 0);
	close(start.listener);
	cr_expect_eq(try_connect(&start), -ECONNREFUSED);
	wait_for(events_of(LATCH_EVENT_LATCH_CLOSED, &start.out, &event));
	cr_expect_eq(event.rule, 5);
	cr_expect_eq(event.rule_set, 9);
	cr_expect_eq(event.drops, 17);
	close(start.client);
}

/* The kernel sends the reset before the callback. */
Test(socket_watch, R_2_3_19_L_5_1_4_destroying_a_socket_releases_its_latch)
{
	struct start start;
	struct pair pair;
	int err;

	attach(GATES_SOCKET);
	pair = latched_pair(&start, IPV4, IPV4);
	err = socket_diag_destroy_owner(&start.out, 0);
	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel cannot destroy sockets");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	expect_released(&start.out);
	close_pair(&pair);
}

/* The gates have checked no packet of these sockets when their latches are closed. */
Test(socket_watch, a_socket_is_bound_to_its_latch_before_its_first_packet)
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = latched_pair(&start, IPV4, IPV4);
	set_no_delay(pair.client);
	set_no_delay(pair.server);
	cr_assert_eq(latch_close(&maps, &start.in, LATCH_ID), LATCH_CONTROL_DONE);
	cr_assert_eq(latch_close(&maps, &start.out, LATCH_ID), LATCH_CONTROL_DONE);
	attach_gates();
	send_byte(pair.server);
	wait_for(drops_for(LATCH_DROP_CLOSED).egress == 1 || is_readable(pair.client));
	cr_expect_not(is_readable(pair.client));
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_CLOSED).egress >= 2 || is_readable(pair.server));
	cr_expect_not(is_readable(pair.server));
	close_pair(&pair);
}

/* connect() after a disconnect starts another connection. */
Test(socket_watch, a_socket_that_connects_again_is_no_longer_blocked_by_its_old_latch)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct address there = name_of(pair.listener, getsockname);

	put_latch(&flow, LATCH_OWNER_SOCKET);
	attach_gates();
	attach(GATES_SOCKET);
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).egress);
	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	disconnect(pair.client);
	close(pair.server);
	cr_assert_eq(fcntl(pair.client, F_SETFL, O_NONBLOCK), 0);
	connect(pair.client, &there.any, there.length);
	wait_for(is_readable(pair.listener));
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	expect_alive(pair.server, pair.client);
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

/*
 * A connect() to a flow in use fails, but its socket has that flow for a moment. Without a check of
 * the owner, any process could release the latch of another.
 */
Test(socket_watch, a_failed_connect_does_not_release_the_latch_of_another_socket)
{
	struct start start = prepare(IPV4, IPV4), unrelated = prepare(IPV4, IPV4);
	struct address here = name_of(start.client, getsockname);
	int on = 1, intruder = new_socket(&here, NULL);
	struct pair pair;

	attach(GATES_SOCKET);
	close(start.client);
	start.client = new_socket(&here, NULL);
	setsockopt(start.client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(intruder, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	cr_assert_eq(bind(start.client, &here.any, here.length), 0);
	cr_assert_eq(bind(intruder, &here.any, here.length), 0, "%s", strerror(errno));
	/* Enables the callbacks of the socket. */
	cr_assert_eq(connect(intruder, &unrelated.there.any, unrelated.there.length), 0);
	disconnect(intruder);
	put_latch(&start.out, LATCH_OWNER_HANDSHAKE);
	pair = finish(&start);
	expect_owner(&start.out, pair.client);
	cr_expect_neq(connect(intruder, &start.there.any, start.there.length), 0);
	cr_expect_eq(errno, EADDRNOTAVAIL);
	expect_owner(&start.out, pair.client);
	close(intruder);
	expect_owner(&start.out, pair.client);
	close_pair(&pair);
	close(unrelated.client);
	close(unrelated.listener);
}

/* ---- other programs on the same sockets */

/*
 * At connect() the program asks for round-trip callbacks. When the connection is established it
 * stores the socket's callback flags.
 */
static int load_other_program(int map)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 1,
		 .src_reg = 6,
		 .off = offsetof(struct bpf_sock_ops, op)},
		{.code = BPF_JMP | BPF_JEQ | BPF_K,
		 .dst_reg = 1,
		 .off = 3,
		 .imm = BPF_SOCK_OPS_TCP_CONNECT_CB},
		{.code = BPF_JMP | BPF_JEQ | BPF_K,
		 .dst_reg = 1,
		 .off = 5,
		 .imm = BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K,
		 .dst_reg = 2,
		 .imm = BPF_SOCK_OPS_RTT_CB_FLAG},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_ops_cb_flags_set},
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 2,
		 .src_reg = 6,
		 .off = offsetof(struct bpf_sock_ops, bpf_sock_ops_cb_flags)},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 3,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map},
		{0},
		{.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "other", "GPL", program,
			       sizeof(program) / sizeof(program[0]), NULL);

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	return fd;
}

Test(socket_watch, the_socket_watch_keeps_the_callbacks_of_other_programs)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "flags", 4, 4, 1, NULL), other, link;
	__u32 key = 0, flags = 0;
	struct pair pair;

	cr_assert_geq(map, 0);
	other = load_other_program(map);
	link = bpf_link_create(other, cgroup_fd, BPF_CGROUP_SOCK_OPS, NULL);
	cr_assert_geq(link, 0);
	attach(GATES_SOCKET);
	pair = connect_pair(IPV4, IPV4, NULL);
	cr_assert_eq(bpf_map_lookup_elem(map, &key, &flags), 0);
	cr_expect_eq(flags, BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG);
	close_pair(&pair);
	close(link);
	close(other);
	close(map);
}
