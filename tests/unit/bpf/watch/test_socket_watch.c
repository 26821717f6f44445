/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose a latch is from a connection's start to its end, as the sockets' callbacks tell. */
#include "gate_fixture.h"

#include "latchd/net/socket_diag.h"

TestSuite(gate_lifecycle, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

/* A client that is bound but not connected yet: the flows are known before their first packet. */
struct start {
	int listener, client;
	struct address there;
	struct latch_flow out, in; /* the client's and the server's */
};

static struct start prepare(const char *listen_on, const char *connect_from)
{
	struct address any = address_of(connect_from, 0), here;
	struct start start = {.listener = start_listener(listen_on, NULL)};

	start.there =
		address_of(connect_from, ntohs(name_of(start.listener, getsockname).v4.sin_port));
	start.client = new_socket(&any, NULL);
	cr_assert_eq(bind(start.client, &any.any, any.length), 0);
	here = name_of(start.client, getsockname);
	start.out = flow_between(here, start.there);
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

/* With both latches, as if both had been born with the handshake. */
static struct pair owned_pair(struct start *start, const char *listen_on, const char *connect_from)
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

static void expect_kept(const struct latch_flow *flow)
{
	wait_for(latch_of(flow).owner == LATCH_OWNER_TIME_WAIT);
	cr_expect_eq(latch_of(flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, flow, NULL), 0);
}

/* The client ends first. */
static void close_in_order(const struct pair *pair)
{
	char byte;

	cr_assert_eq(shutdown(pair->client, SHUT_WR), 0);
	cr_assert_eq(recv(pair->server, &byte, 1, 0), 0);
	close(pair->server);
	cr_assert_eq(recv(pair->client, &byte, 1, 0), 0);
	close(pair->client);
}

static void abort_connection(int fd)
{
	struct linger linger = {.l_onoff = 1};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

/* ---- begin */

Test(gate_lifecycle, both_ends_own_their_latch_once_established)
{
	size_t i;

	attach(GATES_SOCKET);
	for (i = 0; i < TCP_WAYS; i++) {
		struct start start;
		struct pair pair = owned_pair(&start, tcp_ways[i][0], tcp_ways[i][1]);

		expect_owner(&start.out, pair.client);
		expect_owner(&start.in, pair.server);
		close_pair(&pair);
	}
}

Test(gate_lifecycle, another_connections_latch_is_not_taken)
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

Test(gate_lifecycle, R_2_3_19_who_closes_first_keeps_it_through_time_wait)
{
	size_t i;

	attach(GATES_SOCKET);
	for (i = 0; i < TCP_WAYS; i++) {
		struct start start;
		struct pair pair = owned_pair(&start, tcp_ways[i][0], tcp_ways[i][1]);

		close_in_order(&pair);
		expect_released(&start.in);
		expect_kept(&start.out);
		close(pair.listener);
	}
}

Test(gate_lifecycle, R_2_3_19_L_5_1_4_a_refused_connection_releases_it)
{
	struct start start = prepare(IPV4, IPV4);

	attach(GATES_SOCKET);
	put_latch_of(&start.out, start.client);
	close(start.listener);
	cr_expect_eq(try_connect(&start), -ECONNREFUSED);
	expect_released(&start.out);
	close(start.client);
}

Test(gate_lifecycle, a_listeners_end_touches_no_latch)
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = owned_pair(&start, IPV4, IPV4);
	close(pair.listener);
	expect_owner(&start.out, pair.client);
	expect_owner(&start.in, pair.server);
	close(pair.client);
	close(pair.server);
}

/* ---- what comes after TIME_WAIT */

static void check_new_syn(const char *listen_on, const char *connect_from, bool ours)
{
	struct start start = prepare(listen_on, connect_from);
	const struct latch_flow *flow = ours ? &start.out : &start.in;
	struct pair pair;

	put_latch(flow, LATCH_OWNER_TIME_WAIT);
	pair = finish(&start);
	expect_released(flow);
	expect_alive(pair.client, pair.server);
	expect_alive(pair.server, pair.client);
	close_pair(&pair);
}

Test(gate_lifecycle, a_syn_to_a_listener_releases_time_wait)
{
	size_t i;

	attach_gates();
	for (i = 0; i < TCP_WAYS; i++)
		check_new_syn(tcp_ways[i][0], tcp_ways[i][1], false);
}

Test(gate_lifecycle, a_syn_from_a_reused_port_releases_time_wait)
{
	size_t i;

	attach_gates();
	for (i = 0; i < TCP_WAYS; i++)
		check_new_syn(tcp_ways[i][0], tcp_ways[i][1], true);
}

/* Only a SYN proves that its TIME_WAIT is over: later packets do not. */
Test(gate_lifecycle, data_does_not_release_time_wait)
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

/* ---- what must neither escape a latch nor take another's */

/* The reset of whoever aborts leaves after the callback: under the latch's SA, or not at all. */
static void check_abort(void (*end)(const struct pair *))
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = owned_pair(&start, IPV4, IPV4);
	attach_gates();
	end(&pair);
	wait_for(drops_in_all().egress);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, drops_in_all().egress);
	expect_kept(&start.out);
	close(pair.server);
	close(pair.listener);
}

static void abort_client(const struct pair *pair)
{
	abort_connection(pair->client);
}

Test(gate_lifecycle, an_aborted_connections_reset_is_judged_by_its_latch)
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

Test(gate_lifecycle, a_disconnected_sockets_reset_is_judged_by_its_latch)
{
	check_abort(disconnect_client);
}

/* Without gates, so that the reset arrives. */
Test(gate_lifecycle, R_2_3_19_L_5_1_4_a_reset_from_the_peer_releases_it)
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = owned_pair(&start, IPV4, IPV4);
	abort_connection(pair.server);
	expect_released(&start.out);
	cr_expect_eq(pending_error(pair.client), ECONNRESET);
	close(pair.client);
	close(pair.listener);
}

/* Its reset has left before the callback. */
Test(gate_lifecycle, R_2_3_19_L_5_1_4_a_destroyed_socket_releases_it)
{
	struct start start;
	struct pair pair;
	int err;

	attach(GATES_SOCKET);
	pair = owned_pair(&start, IPV4, IPV4);
	err = socket_diag_destroy_owner(&start.out, 0);
	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel cannot destroy sockets");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	expect_released(&start.out);
	close_pair(&pair);
}

/* The child of a listener: no packet of it was judged before its latch is closed. */
Test(gate_lifecycle, a_socket_is_latched_from_its_first_moment)
{
	struct start start;
	struct pair pair;

	attach(GATES_SOCKET);
	pair = owned_pair(&start, IPV4, IPV4);
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

/* A socket may be used again: that is another connection, which starts anew. */
Test(gate_lifecycle, a_socket_that_connects_again_is_no_longer_latched)
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
 * A connect() to a tuple that is in use fails, but for a moment its socket has
 * the flow of the one that uses it: anybody could end another's latch.
 */
Test(gate_lifecycle, a_connect_that_fails_ends_nobody_elses_latch)
{
	struct start start = prepare(IPV4, IPV4), harmless = prepare(IPV4, IPV4);
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
	/* So that its callbacks are on. */
	cr_assert_eq(connect(intruder, &harmless.there.any, harmless.there.length), 0);
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
	close(harmless.client);
	close(harmless.listener);
}

/* ---- other programs on the same sockets */

/*
 * Asks for round-trip callbacks when the connection begins; when it is established
 * it stores the callbacks that the socket then has.
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

Test(gate_lifecycle, other_programs_keep_their_callbacks)
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
