/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A latched TCP connection sends and receives nothing in clear: the verdicts of the cgroup gate.
 *
 *	        test's cgroup: gate_egress, gate_ingress
 *	+------------------------------------------------+
 *	| client (latched) ----x  in clear  x---- server |
 *	| client           <---- in clear -----> server  |
 *	+------------------------------------------------+
 *	          latches: put there by the test
 */
#include "gate_fixture.h"

#include "latchd/net/socket_diag.h"

TestSuite(gate_verdict, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

/* Only the client's flow has a latch: the server's packets pass at the server's end. */
static struct pair latched_pair(const char *listen_on, const char *connect_from)
{
	struct pair pair = connect_prompt_pair(listen_on, connect_from);
	struct latch_flow flow = flow_of(pair.client);

	put_latch(&flow, LATCH_OWNER_SOCKET);
	return pair;
}

static void check_drops_out(const struct pair *pair, enum latch_drop reason)
{
	uint64_t before = drops_for(reason).egress;

	send_byte(pair->client);
	wait_for(drops_for(reason).egress > before);
	cr_expect_not(is_readable(pair->server));
}

static void check_drops_in(const struct pair *pair, enum latch_drop reason)
{
	uint64_t before = drops_for(reason).ingress;

	send_byte(pair->server);
	wait_for(drops_for(reason).ingress > before);
	cr_expect_not(is_readable(pair->client));
}

static void check_plaintext(const char *listen_on, const char *connect_from)
{
	struct pair other = connect_prompt_pair(listen_on, connect_from);
	struct pair pair = latched_pair(listen_on, connect_from);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_drop_count others;

	check_drops_out(&pair, LATCH_DROP_PLAINTEXT);
	check_drops_in(&pair, LATCH_DROP_PLAINTEXT);
	expect_alive(other.client, other.server);
	expect_alive(other.server, other.client);
	others = drops_for_others(LATCH_DROP_PLAINTEXT);
	cr_expect_eq(others.egress, 0);
	cr_expect_eq(others.ingress, 0);
	cr_expect_geq(latch_of(&flow).drops, 2);
	close_pair(&pair);
	close_pair(&other);
}

Test(gate_verdict, a_latched_connection_carries_nothing_in_clear_in_either_direction)
{
	size_t i;

	attach_gates();
	for (i = 0; i < TCP_WAYS; i++)
		check_plaintext(tcp_ways[i][0], tcp_ways[i][1]);
}

Test(gate_verdict, the_ingress_gate_alone_drops_and_counts_incoming_packets_only)
{
	struct pair pair = latched_pair(IPV4, IPV4);
	char byte;

	attach(GATES_INGRESS);
	send_byte(pair.client);
	cr_assert_eq(recv(pair.server, &byte, 1, 0), 1);
	check_drops_in(&pair, LATCH_DROP_PLAINTEXT);
	cr_expect_eq(drops_in_all().egress, 0);
	close_pair(&pair);
}

/* ---- events */

static void send_dropped_packets(const struct pair *pair, uint64_t packets)
{
	while (packets--)
		check_drops_out(pair, LATCH_DROP_PLAINTEXT);
}

Test(gate_verdict, a_latch_sends_one_drop_event_per_interval)
{
	struct pair pair = latched_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_event event;

	attach_gates();
	send_dropped_packets(&pair, 5);
	cr_assert_eq(events_of(LATCH_EVENT_DROP, &flow, &event), 1);
	cr_expect_eq(event.drop, LATCH_DROP_PLAINTEXT);
	cr_expect_eq(event.packet, LATCH_DIRECTION_OUT);
	cr_expect_eq(event.latch_id, LATCH_ID);
	cr_expect_eq(event.drops, 1);
	cr_expect_eq(event.word.raw, latch_of(&flow).word.raw);
	set_drop_event_interval(1);
	wait_for(events_of(LATCH_EVENT_DROP, &flow, &event) >= 2);
	cr_expect_geq(event.drops, 6);
	close_pair(&pair);
}

Test(gate_verdict, a_drop_of_what_arrives_hides_no_drop_of_what_leaves)
{
	struct pair pair = latched_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_event event;

	attach_gates();
	check_drops_in(&pair, LATCH_DROP_PLAINTEXT);
	check_drops_in(&pair, LATCH_DROP_PLAINTEXT);
	cr_assert_eq(events_of(LATCH_EVENT_DROP, &flow, &event), 1);
	cr_expect_eq(event.packet, LATCH_DIRECTION_IN);
	check_drops_out(&pair, LATCH_DROP_PLAINTEXT);
	cr_assert_eq(events_of(LATCH_EVENT_DROP, &flow, &event), 2);
	cr_expect_eq(event.packet, LATCH_DIRECTION_OUT);
	close_pair(&pair);
}

Test(gate_verdict, each_latch_has_a_drop_event_interval_of_its_own)
{
	struct pair pair = latched_pair(IPV4, IPV4), other = latched_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client), other_flow = flow_of(other.client);

	attach_gates();
	send_dropped_packets(&pair, 2);
	send_dropped_packets(&other, 2);
	cr_expect_eq(events_of(LATCH_EVENT_DROP, &flow, NULL), 1);
	cr_expect_eq(events_of(LATCH_EVENT_DROP, &other_flow, NULL), 1);
	close_pair(&pair);
	close_pair(&other);
}

/* ---- broken and closed */

static void break_latch(const struct latch_flow *flow)
{
	cr_assert_eq(latch_break(&maps, flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
}

Test(gate_verdict, R_2_3_21_a_broken_latch_sends_and_receives_nothing)
{
	struct pair pair = latched_pair(IPV4, IPV4), other = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_event event = {0};

	attach_gates();
	break_latch(&flow);
	check_drops_out(&pair, LATCH_DROP_BROKEN);
	check_drops_in(&pair, LATCH_DROP_BROKEN);
	expect_alive(other.client, other.server);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 0);
	cr_expect_eq(events_of(LATCH_EVENT_DROP, &flow, &event), 2);
	cr_expect_eq(event.drop, LATCH_DROP_BROKEN);
	cr_expect_eq(event.word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(event.word.reasons, LATCH_REASON_SA_CONFLICT);
	close_pair(&pair);
	close_pair(&other);
}

/* The latch has left the map, and the socket's packets in clear are dropped all the same. */
Test(gate_verdict, a_closed_latch_keeps_its_socket_blocked)
{
	struct pair pair = latched_pair(IPV4, IPV4), other = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);

	attach_gates();
	check_drops_out(&pair, LATCH_DROP_PLAINTEXT);
	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	check_drops_out(&pair, LATCH_DROP_CLOSED);
	check_drops_in(&pair, LATCH_DROP_CLOSED);
	expect_alive(other.client, other.server);
	close_pair(&pair);
	close_pair(&other);
}

/* ---- resets */

static void destroy(const struct latch_flow *flow)
{
	int err = socket_diag_destroy_owner(flow, 0);

	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel cannot destroy sockets");
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

/* The reset of the unlatched connection shows that by then the other would have arrived. */
Test(gate_verdict, R_2_3_21_the_reset_of_a_broken_latch_is_dropped)
{
	struct pair pair = latched_pair(IPV4, IPV4), other = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client), other_flow = flow_of(other.client);
	struct pollfd reset = {.fd = other.server, .events = POLLIN};

	attach_gates();
	break_latch(&flow);
	destroy(&flow);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	wait_for(drops_in_all().egress >= 1);
	cr_expect_geq(drops_for(LATCH_DROP_BROKEN).egress, 1);
	destroy(&other_flow);
	cr_assert_eq(poll(&reset, 1, LIMIT_MS), 1);
	cr_expect_eq(pending_error(other.server), ECONNRESET);
	cr_expect_not(is_readable(pair.server));
	cr_expect_eq(pending_error(pair.server), 0);
	cr_expect_eq(tcp_state_of(pair.server), TCP_ESTABLISHED);
	close_pair(&pair);
	close_pair(&other);
}

/* ---- starts */

/* A SYN in clear from the port of a latched connection neither passes nor releases its latch. */
static void check_syn_in_clear(const char *listen_on, const char *connect_from, bool outgoing)
{
	int listener = start_listener(listen_on, NULL);
	int client = bound_socket(connect_from, NULL);
	struct address there = address_of(connect_from, port_of(listener));
	struct latch_flow flow = flow_between(name_of(client, getsockname), there);

	if (!outgoing)
		flow = other_end(flow);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	begin_connect(client, &there);
	wait_for(outgoing ? drops_for(LATCH_DROP_PLAINTEXT).egress
			  : drops_for(LATCH_DROP_PLAINTEXT).ingress);
	cr_expect_not(is_readable(listener));
	cr_expect_eq(latch_of(&flow).id, LATCH_ID);
	cr_expect_eq(latch_of(&flow).owner, LATCH_OWNER_SOCKET);
	close(client);
	close(listener);
}

Test(gate_verdict, an_outgoing_ipv4_syn_in_clear_neither_passes_nor_releases_a_latch)
{
	attach_gates();
	check_syn_in_clear(IPV4, IPV4, true);
}

Test(gate_verdict, an_outgoing_ipv6_syn_in_clear_neither_passes_nor_releases_a_latch)
{
	attach_gates();
	check_syn_in_clear(IPV6, IPV6, true);
}

Test(gate_verdict, an_outgoing_ipv4_mapped_syn_in_clear_neither_passes_nor_releases_a_latch)
{
	attach_gates();
	check_syn_in_clear("::", MAPPED, true);
}

Test(gate_verdict, a_syn_in_clear_to_an_ipv4_listener_neither_passes_nor_releases_a_latch)
{
	attach_gates();
	check_syn_in_clear(IPV4, IPV4, false);
}

Test(gate_verdict, a_syn_in_clear_to_a_dual_stack_listener_neither_passes_nor_releases_a_latch)
{
	attach_gates();
	check_syn_in_clear("::", IPV4, false);
}

Test(gate_verdict, a_syn_in_clear_to_an_ipv6_listener_neither_passes_nor_releases_a_latch)
{
	attach_gates();
	check_syn_in_clear(IPV6, IPV6, false);
}

Test(gate_verdict, a_connection_that_starts_in_clear_gets_no_latch_and_no_drop)
{
	size_t i;

	attach_gates();
	attach(GATES_SOCKET);
	for (i = 0; i < TCP_WAYS; i++) {
		struct pair pair = connect_prompt_pair(tcp_ways[i][0], tcp_ways[i][1]);
		struct latch_flow flow = flow_of(pair.client), server = other_end(flow);

		expect_alive(pair.client, pair.server);
		cr_expect_not(has_latch(&flow));
		cr_expect_not(has_latch(&server));
		close_pair(&pair);
	}
	cr_expect_eq(drops_in_all().egress, 0);
	cr_expect_eq(drops_in_all().ingress, 0);
}

/* ---- headers that an attacker can choose */

/* 20 bytes of no-operation (RFC 791): the header grows to 40 bytes. */
static void set_ipv4_options(int fd)
{
	unsigned char options[20];

	memset(options, 1, sizeof(options));
	cr_assert_eq(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof(options)), 0, "%s",
		     strerror(errno));
}

/* 8 bytes each: next header, length 0, and one option of padding. */
static void set_ipv6_extensions(int fd)
{
	unsigned char extension[8] = {0, 0, 1, 4};

	cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_HOPOPTS, extension, sizeof(extension)), 0);
	cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, extension, sizeof(extension)), 0);
}

/* A listener has no peer: the gate must find the ports behind the options to see the flow. */
static void check_syn_with_options(const char *address, void (*set_options)(int))
{
	int listener = start_listener(address, NULL), client = bound_socket(address, NULL);
	struct address there = address_of(address, port_of(listener));
	struct latch_flow flow = other_end(flow_between(name_of(client, getsockname), there));

	set_options(client);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	begin_connect(client, &there);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress);
	cr_expect_eq(drops_in_all().egress, 0);
	cr_expect_not(is_readable(listener));
	close(client);
	close(listener);
}

Test(gate_verdict, ipv4_options_do_not_hide_a_latched_flow)
{
	attach_gates();
	check_syn_with_options(IPV4, set_ipv4_options);
}

Test(gate_verdict, ipv6_extension_headers_do_not_hide_a_latched_flow)
{
	attach_gates();
	check_syn_with_options(IPV6, set_ipv6_extensions);
}

static void check_data_with_options(const char *address, void (*set_options)(int))
{
	struct pair pair = latched_pair(address, address);

	set_options(pair.client);
	set_options(pair.server);
	check_drops_out(&pair, LATCH_DROP_PLAINTEXT);
	check_drops_in(&pair, LATCH_DROP_PLAINTEXT);
	close_pair(&pair);
}

Test(gate_verdict, data_in_clear_with_options_of_a_latched_connection_is_dropped)
{
	attach_gates();
	check_data_with_options(IPV4, set_ipv4_options);
	check_data_with_options(IPV6, set_ipv6_extensions);
}
