/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a TCP socket answers when its connection has ended, and its latch with it. tests/vm/ask has
 * the same for UDP: this machine's kernel may refuse the program at udp_abort().
 */
#include "api_fixture.h"

#include "latchd/control/admin.h"

TestSuite(api_past, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

static struct pair latched_pair(struct latch_flow *ret_flow)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	latch_socket(pair.server, &d);
	*ret_flow = latch_socket(pair.client, &c);
	return pair;
}

static void destroy(int fd, const struct latch_flow *flow)
{
	int err = socket_diag_destroy_owner(flow, cookie_of(fd));

	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel has no SOCK_DESTROY");
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

/* As the controller does: their numbers are another peer's then. */
static void give_numbers_of_c_to(const char *id)
{
	put_identity(c.identity, id, "to-mallory");
	put_identity(c.local, "other.example", "unused");
}

/* ---- the end after a break */

Test(api_past, L_2_2_after_a_break_the_same_descriptor_tells_why_and_which_peer_it_had)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	uint64_t id = latch_of(&flow).id;
	struct latch_info info;

	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	destroy(pair.client, &flow);
	cr_assert_not(has_latch(&flow));
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_SA_CONFLICT);
	expect_peer(pair.client, &c);
	info = ask_info(pair.client);
	cr_expect_eq(info.reasons, LATCH_REASON_SA_CONFLICT);
	cr_expect_eq(info.latch, id);
	cr_expect_eq(info.flags, LATCH_INFO_ABORTED | LATCH_INFO_CHANGED);
	cr_expect_eq(info.local_port, flow.local_port);
	cr_expect_eq(info.remote_port, flow.remote_port);
	cr_expect_str_eq(info.encryption, c.encryption);
	close_pair(&pair);
}

Test(api_past, the_answer_stays_after_the_error_was_read_and_in_a_copy_of_the_descriptor)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	int copy = dup(pair.client);

	break_latch(&flow, LATCH_REASON_PEER_DEAD);
	destroy(pair.client, &flow);
	cr_assert_eq(pending_error(pair.client), ECONNABORTED);
	cr_assert_eq(pending_error(pair.client), 0);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0, "a plain end of file");
	close(pair.client);
	expect_state(copy, LATCH_APP_BROKEN, LATCH_WHY_PEER_DEAD);
	expect_peer(copy, &c);
	close(copy);
	close(pair.server);
	close(pair.listener);
}

Test(api_past, numbers_that_another_peer_has_by_now_do_not_change_the_answer)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	destroy(pair.client, &flow);
	give_numbers_of_c_to("mallory.example");
	expect_peer(pair.client, &c);
	expect_peer(pair.server, &d);
	close_pair(&pair);
}

/* The latch of the handshake becomes its own when the handshake ends. */
Test(api_past, a_connection_that_ends_before_accept_tells_why)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL), server;
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow = flow_between(there, name_of(client, getsockname));
	struct latch latch = latch_to(&c, 0);

	latch.owner = LATCH_OWNER_HANDSHAKE;
	store_latch(&flow, &latch);
	cr_assert_eq(connect(client, &there.any, there.length), 0);
	wait_for(is_readable(listener));
	cr_assert_neq(latch_of(&flow).socket_cookie, 0);
	break_latch(&flow, LATCH_REASON_SPD_CHANGE);
	cr_assert_eq(socket_diag_destroy_owner(&flow, latch_of(&flow).socket_cookie), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	expect_state(server, LATCH_APP_BROKEN, LATCH_WHY_SPD_CHANGE);
	expect_peer(server, &c);
	close(client);
	close(server);
	close(listener);
}

/* ---- an end in order, or by TCP */

Test(api_past, an_orderly_end_differs_from_a_break)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	char byte;

	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &byte, 1, 0), 0);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_PEER_ENDED);
	cr_expect_eq(ask_info(pair.server).flags, LATCH_INFO_GATEWAY, "it has ended itself only");
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	cr_assert_eq(recv(pair.server, &byte, 1, 0), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_CHANGED | LATCH_INFO_PEER_ENDED);
	wait_for(tcp_state_of(pair.server) == TCP_CLOSE);
	cr_expect_eq(ask_info(pair.server).flags,
		     LATCH_INFO_GATEWAY | LATCH_INFO_CHANGED | LATCH_INFO_PEER_ENDED);
	expect_peer(pair.client, &c);
	expect_peer(pair.server, &d);
	close_pair(&pair);
}

Test(api_past, a_break_in_time_wait_is_shown_by_the_descriptor_that_is_left)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	char byte;

	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	cr_assert_eq(recv(pair.server, &byte, 1, 0), 0);
	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &byte, 1, 0), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	cr_assert_eq(latch_of(&flow).owner, LATCH_OWNER_TIME_WAIT);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_SA_CONFLICT);
	expect_peer(pair.client, &c);
	close_pair(&pair);
}

Test(api_past, a_reset_of_the_peer_is_no_break_and_no_orderly_end)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	struct linger now = {.l_onoff = 1};

	cr_assert_eq(setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(pair.server);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_ABORTED | LATCH_INFO_CHANGED);
	expect_peer(pair.client, &c);
	close(pair.client);
	close(pair.listener);
}

/* ---- latchctl close */

/* The server's latch is there when the connection begins, so that its socket knows of it. */
static struct pair pair_with_latch(const struct latch *latch, struct latch_flow *ret_flow)
{
	struct pair pair = {.listener = start_listener(IPV4, NULL),
			    .client = bound_socket(IPV4, NULL)};
	struct address there = name_of(pair.listener, getsockname);

	*ret_flow = flow_between(there, name_of(pair.client, getsockname));
	store_latch(ret_flow, latch);
	cr_assert_eq(connect(pair.client, &there.any, there.length), 0);
	pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(pair.server, 0);
	return pair;
}

static void close_as_admin(const struct latch_flow *flow)
{
	const struct news_bus bus = {0};
	const struct admin admin = {.maps = &maps, .news = &bus};
	const struct control_request request = {
		.act = CONTROL_ACT_CLOSE, .latch_id = latch_of(flow).id, .pid = getpid()};
	struct admin_result result = admin_request(&admin, &request);

	if (result.error == -EOPNOTSUPP)
		cr_skip_test("this kernel has no SOCK_DESTROY");
	cr_assert_eq(result.outcome, ADMIN_DONE, "%s", strerror(-result.error));
}

Test(api_past, latchctl_close_tells_the_application_that_an_administrator_did_it)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	close_as_admin(&flow);
	cr_assert_not(has_latch(&flow));
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_ADMIN);
	cr_expect_eq(ask_info(pair.client).reasons, LATCH_APP_ADMIN);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_ABORTED | LATCH_INFO_CHANGED);
	expect_peer(pair.client, &c);
	wait_for(tcp_state_of(pair.server) == TCP_CLOSE);
	expect_state(pair.server, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	close_pair(&pair);
}

Test(api_past, latchctl_close_of_a_broken_latch_keeps_the_first_reason)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	close_as_admin(&flow);
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_SA_CONFLICT);
	cr_expect_eq(ask_info(pair.client).reasons, LATCH_APP_SA_CONFLICT | LATCH_APP_ADMIN);
	close_pair(&pair);
}

Test(api_past, latchctl_close_of_a_larval_latch_tells_it_without_a_peer)
{
	struct latch latch = latch_to(&c, 0);
	struct latch_flow flow;
	struct pair pair;

	latch.word.state = LATCH_STATE_LARVAL;
	latch.owner = LATCH_OWNER_HANDSHAKE;
	pair = pair_with_latch(&latch, &flow);
	close_as_admin(&flow);
	expect_state(pair.server, LATCH_APP_BROKEN, LATCH_WHY_ADMIN);
	expect_no_text(pair.server, -ENODATA);
	close_pair(&pair);
}

static void end_in_order(const struct pair *pair)
{
	cr_assert_eq(shutdown(pair->server, SHUT_WR), 0);
	cr_assert_eq(recv(pair->client, &(char){0}, 1, 0), 0);
	cr_assert_eq(shutdown(pair->client, SHUT_WR), 0);
	wait_for(tcp_state_of(pair->client) == TCP_CLOSE);
}

/* latchd has marked the latch, and both ends send their FIN before it ends the socket. */
Test(api_past, an_orderly_end_stays_one_when_latchctl_close_comes_at_its_end)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	uint64_t id = latch_of(&flow).id;

	cr_assert_eq(latch_closing(&maps, &flow, id, true), LATCH_CONTROL_DONE);
	end_in_order(&pair);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_CHANGED | LATCH_INFO_PEER_ENDED);
	close_pair(&pair);
}

Test(api_past, a_reset_after_a_latchctl_close_that_could_not_end_the_socket_is_no_close)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	uint64_t id = latch_of(&flow).id;

	cr_assert_eq(latch_closing(&maps, &flow, id + 100, true), LATCH_CONTROL_NOT_FOUND);
	cr_assert_eq(latch_closing(&maps, &flow, id, true), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_of(&flow).rule_flags, LATCH_RULE_CLOSING);
	cr_assert_eq(latch_closing(&maps, &flow, id, false), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_of(&flow).rule_flags, 0);
	destroy(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	close_pair(&pair);
}

/* ---- the next connection of the socket */

static void disconnect(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	cr_assert_eq(connect(fd, &none, sizeof(none)), 0);
}

Test(api_past, the_next_connection_of_a_socket_does_not_answer_for_the_former_peer)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	struct address there = address_of(IPV4, port_of(pair.listener));

	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	destroy(pair.client, &flow);
	expect_peer(pair.client, &c);
	disconnect(pair.client);
	cr_assert_eq(connect(pair.client, &there.any, there.length), 0, "%s", strerror(errno));
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	expect_no_text(pair.client, -ENODATA);
	disconnect(pair.client);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	close_pair(&pair);
}

/* TCP has no error when it aborts by itself, as when the application has read it. */
Test(api_past, an_abort_without_an_error_is_no_orderly_end)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	disconnect(pair.client);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_ABORTED | LATCH_INFO_CHANGED);
	expect_peer(pair.client, &c);
	close_pair(&pair);
}

/* The peer has sent all of its data, but may not have got all of this host's. */
Test(api_past, an_abort_after_the_end_of_the_peer_is_no_orderly_end)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	cr_assert_eq(shutdown(pair.server, SHUT_WR), 0);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0);
	disconnect(pair.client);
	cr_expect_eq(ask_info(pair.client).flags,
		     LATCH_INFO_ABORTED | LATCH_INFO_CHANGED | LATCH_INFO_PEER_ENDED);
	close_pair(&pair);
}

/* The client's connect() is under way: a listener whose queue is full drops each SYN. */
static struct pair connecting_pair(struct latch_flow *ret_flow)
{
	struct pair pair = {.listener = bound_socket(IPV4, NULL)};
	struct address there = name_of(pair.listener, getsockname);

	cr_assert_eq(listen(pair.listener, 0), 0);
	pair.server = connect_to(IPV4, pair.listener, NULL);
	pair.client = new_socket(&there, NULL);
	begin_connect(pair.client, &there);
	*ret_flow = flow_between(name_of(pair.client, getsockname), there);
	return pair;
}

/* As with TCP_FASTOPEN_CONNECT: the latch has the cookie, and is of the former connection. */
Test(api_past, a_latch_in_time_wait_is_no_answer_for_the_next_connection)
{
	struct latch_flow flow;
	struct pair pair = connecting_pair(&flow);
	struct latch latch = latch_to(&c, cookie_of(pair.client));

	latch.owner = LATCH_OWNER_TIME_WAIT;
	store_latch(&flow, &latch);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_YET);
	expect_no_text(pair.client, -ENODATA);
	disconnect(pair.client);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	expect_no_text(pair.client, -ENODATA);
	cr_expect_eq(latch_of(&flow).id, latch.id, "it lasts as long as TIME_WAIT");
	close_pair(&pair);
}

Test(api_past, a_latch_of_connect_that_latchd_has_closed_is_not_yet_an_end)
{
	struct latch_flow flow;
	struct pair pair = connecting_pair(&flow);

	latch_socket_as(pair.client, &c, flow);
	attach_gates();
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).egress);
	cr_assert_eq(latch_close(&maps, &flow, latch_of(&flow).id), LATCH_CONTROL_DONE);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_YET);
	expect_no_text(pair.client, -ENODATA);
	close_pair(&pair);
}

/* ---- what has no peer */

/* The socket keeps no copy: the copy would have the latch's id. */
Test(api_past, a_latch_that_was_larval_to_its_end_has_no_peer)
{
	struct latch latch = latch_to(&c, 0);
	struct latch_flow flow;
	struct pair pair;

	latch.word.state = LATCH_STATE_LARVAL;
	latch.owner = LATCH_OWNER_HANDSHAKE;
	pair = pair_with_latch(&latch, &flow);
	expect_state(pair.server, LATCH_APP_LARVAL, LATCH_WHY_UNATTRIBUTED);
	destroy(pair.server, &flow);
	expect_state(pair.server, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	expect_no_text(pair.server, -ENODATA);
	cr_expect_eq(ask_info(pair.server).latch, 0);
	close_pair(&pair);
}

Test(api_past, a_break_without_a_known_peer_is_kept)
{
	struct latch latch = latch_to(&c, 0);
	struct latch_flow flow;
	struct pair pair;

	latch.word.params = 0;
	latch.owner = LATCH_OWNER_HANDSHAKE;
	pair = pair_with_latch(&latch, &flow);
	break_latch(&flow, LATCH_REASON_ADMIN);
	destroy(pair.server, &flow);
	expect_state(pair.server, LATCH_APP_BROKEN, LATCH_WHY_ADMIN);
	expect_no_text(pair.server, -ENODATA);
	cr_expect_eq(ask_info(pair.server).latch, latch.id);
	close_pair(&pair);
}

Test(api_past, a_latch_that_ended_in_audit_mode_tells_no_peer_later)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	change_settings(true, 1, clock_boot_ns());
	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	destroy(pair.client, &flow);
	change_settings(true, 2, 0);
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_SA_CONFLICT);
	cr_expect(ask_info(pair.client).flags & LATCH_INFO_AUDIT);
	expect_no_text(pair.client, -ENODATA);
	close_pair(&pair);
}

Test(api_past, the_end_of_another_sockets_latch_is_not_kept)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);
	struct latch latch = latch_of(&flow);

	latch.socket_cookie = cookie_of(pair.server);
	store_latch(&flow, &latch);
	destroy(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	expect_no_text(pair.client, -ENODATA);
	cr_expect(has_latch(&flow));
	close_pair(&pair);
}

Test(api_past, without_the_interface_a_socket_keeps_nothing)
{
	struct latch_flow flow;
	struct pair pair = latched_pair(&flow);

	change_settings(false, 0, 0);
	destroy(pair.client, &flow);
	change_settings(true, 0, 0);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	close_pair(&pair);
}

/* ---- a connect() that is refused */

static void expect_refusal(enum latch_why why)
{
	struct address there = address_of("127.0.0.77", 7);
	int fd = new_socket(&there, NULL), err;
	struct latch_flow flow;

	begin_connect(fd, &there);
	flow = flow_between(name_of(fd, getsockname), there);
	err = socket_diag_destroy_connecting(&flow, 0);
	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel has no SOCK_DESTROY");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	cr_expect_eq(pending_error(fd), ECONNABORTED);
	expect_state(fd, LATCH_APP_NOT_LATCHED, why);
	expect_no_text(fd, -ENODATA);
	close(fd);
}

Test(api_past, R_2_3_18_a_connect_that_a_rule_refuses_tells_it)
{
	attach_gates();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	expect_refusal(LATCH_WHY_REQUIRED);
}

Test(api_past, a_connect_that_a_peer_refuses_is_no_refusal_of_latchd)
{
	struct address there = address_of(IPV4, 1);
	int fd = new_socket(&there, NULL);

	cr_assert_neq(connect(fd, &there.any, there.length), 0);
	cr_expect_eq(errno, ECONNREFUSED);
	expect_state(fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	close(fd);
}
