/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections whose socket may have received what is not their peer's. The gate creates the latches
 * of the UDP sockets.
 *
 *	d ---- datagrams in clear ----> +--------+
 *	                                | socket | ----> nft: protocol = ESP --> gate_egress --> lo
 *	getsockopt(SOL_LATCH) <-------- +--------+
 */
#include "api_fixture.h"
#include "unit/bpf/gate/pretended_esp.h"
#include "udp.h"

TestSuite(api_unproven, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

static struct pair udp_pair_behind_gates(struct latch_flow *ret_flow)
{
	struct pair pair = udp_pair(IPV4, IPV4);

	attach_gates();
	*ret_flow = udp_flow(pair.client);
	make_esp("ip", "udp", port_of(pair.server));
	return pair;
}

static void expect_unproven(int fd)
{
	struct latch_info info = ask_info(fd);

	expect_state(fd, LATCH_APP_UNPROVEN, LATCH_WHY_EARLIER_DATA);
	expect_no_text(fd, -ENODATA);
	cr_expect(info.flags & LATCH_INFO_UNPROVEN);
	cr_expect_eq(info.peer_number, 0);
	cr_expect_eq(info.local_number, 0);
	cr_expect_str_eq(info.encryption, c.encryption);
}

/* ---- LARVAL */

static void send_under_c(int fd, const struct latch_flow *flow)
{
	put_sa_of(flow, LATCH_SA_BOUND, c.params);
	cr_assert_eq(udp_send(fd), 0);
	cr_assert_eq(latch_of(flow).word.state, LATCH_STATE_ESTABLISHED);
}

Test(api_unproven, a_connection_that_began_larval_proves_no_peer)
{
	struct latch_flow flow;
	struct pair pair = udp_pair_behind_gates(&flow);

	cr_assert_eq(udp_send(pair.client), 0, "under an SA that is not in the table");
	expect_state(pair.client, LATCH_APP_LARVAL, LATCH_WHY_UNATTRIBUTED);
	cr_expect(ask_info(pair.client).flags & LATCH_INFO_UNPROVEN);
	send_under_c(pair.client, &flow);
	expect_unproven(pair.client);
	send_under_c(pair.client, &flow);
	expect_unproven(pair.client);
	break_latch(&flow, LATCH_REASON_PEER_DEAD);
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_PEER_DEAD);
	expect_no_text(pair.client, -ENODATA);
	udp_close(&pair);
}

Test(api_unproven, a_connection_that_began_under_its_peers_sa_proves_it)
{
	struct latch_flow flow;
	struct pair pair = udp_pair_behind_gates(&flow);

	send_under_c(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	cr_expect_eq(ask_info(pair.client).peer_number, c.identity);
	udp_close(&pair);
}

Test(api_unproven, the_end_of_a_connection_that_began_larval_proves_no_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);
	struct latch latch = latch_of(&flow);

	latch.unproven = 1;
	store_latch(&flow, &latch);
	expect_unproven(pair.client);
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	close(pair.server);
	cr_assert_eq(recv(pair.client, &(char){0}, 1, 0), 0);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
	cr_expect(ask_info(pair.client).flags & LATCH_INFO_UNPROVEN);
	expect_no_text(pair.client, -ENODATA);
	close(pair.client);
	close(pair.listener);
}

/* ---- a switch of the mode */

/* A switch writes its time before its mode. */
Test(api_unproven, a_connection_that_begins_in_the_middle_of_a_switch_was_not_enforced)
{
	struct latch_flow flow, next;
	struct pair pair = udp_pair_behind_gates(&flow), later;
	uint64_t since = clock_boot_ns();

	change_settings(true, 1, since);
	send_under_c(pair.client, &flow);
	change_settings(true, 2, since);
	expect_state(pair.client, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
	expect_no_text(pair.client, -ENODATA);
	later = udp_pair(IPV4, IPV4);
	next = udp_flow(later.client);
	make_esp("ip", "udp", port_of(later.server));
	send_under_c(later.client, &next);
	expect_state(later.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(later.client, &c);
	udp_close(&later);
	udp_close(&pair);
}

/* ---- datagrams that wait */

/* The socket is bound and not connected when d's datagram comes. */
static struct pair pair_with_datagram_of_d(struct latch_flow *ret_flow)
{
	struct pair pair = {.listener = udp_bound(IPV4), /* d */
			    .client = udp_bound(IPV4),
			    .server = udp_bound(IPV4)};

	attach_gates();
	cr_assert_eq(udp_send_to(pair.listener, name_of(pair.client, getsockname)), 0);
	wait_for(is_readable(pair.client));
	udp_connect(pair.client, name_of(pair.server, getsockname));
	*ret_flow = udp_flow(pair.client);
	make_esp("ip", "udp", port_of(pair.server));
	return pair;
}

Test(api_unproven, datagrams_from_before_the_latch_are_of_no_proven_peer)
{
	struct latch_flow flow;
	struct pair pair = pair_with_datagram_of_d(&flow);
	char byte;

	send_under_c(pair.client, &flow);
	expect_unproven(pair.client);
	cr_assert_eq(recv(pair.client, &byte, 1, 0), 1, "it is d's");
	send_under_c(pair.client, &flow);
	expect_unproven(pair.client);
	close_pair(&pair);
}

Test(api_unproven, a_socket_that_has_read_them_before_proves_its_peer)
{
	struct latch_flow flow;
	struct pair pair = pair_with_datagram_of_d(&flow);
	char byte;

	cr_assert_eq(recv(pair.client, &byte, 1, 0), 1);
	send_under_c(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	close_pair(&pair);
}

static void receive_in_clear(int from, int to)
{
	char byte;

	cr_assert_eq(udp_send(from), 0);
	wait_for(is_readable(to));
	cr_assert_eq(recv(to, &byte, 1, 0), 1);
}

/* An attacker sends it in the peer's name. Nothing is queued any more. */
Test(api_unproven, a_datagram_in_clear_that_the_connection_has_read_is_of_no_proven_peer)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	attach_gates();
	receive_in_clear(pair.server, pair.client);
	make_esp("ip", "udp", port_of(pair.server));
	send_under_c(pair.client, &flow);
	expect_unproven(pair.client);
	udp_close(&pair);
}

Test(api_unproven, a_datagram_in_clear_that_the_former_connection_has_read_changes_nothing)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow;
	int next = udp_bound(IPV4);

	attach_gates();
	receive_in_clear(pair.server, pair.client);
	udp_connect(pair.client, name_of(next, getsockname));
	flow = udp_flow(pair.client);
	make_esp("ip", "udp", port_of(next));
	send_under_c(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	close(next);
	udp_close(&pair);
}

/* What it sends in clear is read by others. */
Test(api_unproven, a_datagram_in_clear_that_the_connection_has_sent_changes_nothing)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	attach_gates();
	receive_in_clear(pair.client, pair.server);
	make_esp("ip", "udp", port_of(pair.server));
	send_under_c(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	udp_close(&pair);
}

/* recvmsg() takes all of the queue to one of its own first. */
Test(api_unproven, datagrams_that_were_peeked_at_only_are_of_no_proven_peer)
{
	struct latch_flow flow;
	struct pair pair = pair_with_datagram_of_d(&flow);
	char byte;

	cr_assert_eq(recv(pair.client, &byte, 1, MSG_PEEK), 1);
	send_under_c(pair.client, &flow);
	expect_unproven(pair.client);
	close_pair(&pair);
}

/* The error queue has what the socket itself has sent. */
Test(api_unproven, errors_that_wait_are_of_no_other_peer)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct address closed = address_of(IPV4, 1);
	struct pollfd errors = {.fd = pair.client};
	struct latch_flow flow;
	int on = 1;

	cr_assert_eq(setsockopt(pair.client, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	udp_connect(pair.client, closed);
	cr_assert_eq(udp_send(pair.client), 0);
	cr_assert_eq(poll(&errors, 1, 10000), 1);
	cr_assert(errors.revents & POLLERR);
	cr_assert_eq(pending_error(pair.client), ECONNREFUSED);
	attach_gates();
	udp_connect(pair.client, name_of(pair.server, getsockname));
	flow = udp_flow(pair.client);
	make_esp("ip", "udp", port_of(pair.server));
	send_under_c(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	udp_close(&pair);
}

/* The datagrams of its own peer wait then, behind the latch. */
Test(api_unproven, datagrams_that_wait_behind_the_latch_change_nothing)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	cr_assert_eq(udp_send(pair.server), 0);
	wait_for(is_readable(pair.client));
	latch_socket_as(pair.client, &c, flow);
	attach_gates();
	make_esp("ip", "udp", port_of(pair.server));
	send_under_c(pair.client, &flow);
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	udp_close(&pair);
}
