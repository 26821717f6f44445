/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latch.py tells of a socket what liblatch tells of it: of two peers, and where nothing serves. It
 * wishes as liblatch does.
 */
#include "unit/bpf/api/wish_fixture.h"
#include "unit/bpf/gate/pretended_esp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "liblatch/latch.h"

TestSuite(latch_py, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

static char output[4096];

/* The output of tell.py, whole. */
static void tell(const char *arguments)
{
	char command[256];
	FILE *pipe;
	size_t length;

	snprintf(command, sizeof(command), "/usr/bin/python3 -B tests/unit/liblatch/tell.py %s",
		 arguments);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	cr_assert_eq(pclose(pipe), 0, "%s: %s", command, output);
}

/* verb: before the descriptor; more: behind it. The sockets of the fixture close at exec. */
static void tell_as(const char *verb, int fd, const char *more)
{
	char text[128];
	int copy = dup(fd);

	snprintf(text, sizeof(text), "%s %d %s", verb, copy, more);
	tell(text);
	close(copy);
}

static void tell_of(int fd)
{
	tell_as("", fd, "");
}

static bool tells_line(const char *name, const char *value)
{
	char line[LATCH_TEXT_MAX + 64];
	const char *at;

	snprintf(line, sizeof(line), "%s=%s\n", name, value);
	at = strstr(output, line);
	return at && (at == output || at[-1] == '\n');
}

static void expect_line(const char *name, const char *value)
{
	cr_expect(tells_line(name, value), "%s=%s is not in: %s", name, value, output);
}

static void expect_number(const char *name, unsigned long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", value);
	expect_line(name, text);
}

static const char *text_of_errno(int error)
{
	static char text[32];

	snprintf(text, sizeof(text), "errno %d", error);
	return text;
}

static void expect_address(const char *name, const __u8 *address)
{
	char text[INET6_ADDRSTRLEN];

	expect_line(name, inet_ntop(AF_INET, address, text, sizeof(text)));
}

static void expect_info(const struct latch_info *info)
{
	expect_number("info.size", info->size);
	expect_number("info.state", info->state);
	expect_number("info.why", info->why);
	expect_number("info.direction", info->direction);
	expect_number("info.mode", info->mode);
	expect_number("info.protocol", info->protocol);
	expect_number("info.flags", info->flags);
	expect_number("info.encryption_bits", info->encryption_bits);
	expect_number("info.icv_bits", info->icv_bits);
	expect_number("info.peer_number", info->peer_number);
	expect_number("info.local_number", info->local_number);
	expect_number("info.latch", info->latch);
	expect_number("info.dropped", info->dropped);
	expect_address("info.local_addr", info->local_addr);
	expect_address("info.remote_addr", info->remote_addr);
	expect_number("info.local_port", info->local_port);
	expect_number("info.remote_port", info->remote_port);
	expect_line("info.encryption", info->encryption);
	expect_line("info.integrity", info->integrity);
}

/* Of c two, of d none. */
static void put_tags(void)
{
	struct latch_peer_sets names = {.names = {"web", "db"}};
	struct latch_peer_facts facts = {.sets = {3, 3}};
	uint32_t half;

	for (half = 0; half < 2; half++)
		cr_assert_eq(bpf_map_update_elem(maps.peer_sets, &half, &names, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.peer_facts, &c.identity, &facts, BPF_ANY), 0);
}

/* The name of what latch_end() tells. */
static const char *end_of(int fd)
{
	switch (latch_end(fd)) {
	case 0:
		return "ORDERLY";
	case -EKEYREVOKED:
		return "BROKEN";
	case -ECONNRESET:
		return "RESET";
	case -ENOKEY:
		return "UNPROVEN";
	case -EAGAIN:
		return "OPEN";
	}
	return "?";
}

static void expect_same_answers(int fd, const struct peer *peer)
{
	struct latch_info info;

	cr_assert_eq(latch_info(fd, &info, sizeof(info)), 0);
	tell_of(fd);
	expect_number("state", LATCH_APP_ESTABLISHED);
	expect_line("peer", peer->id);
	expect_line("local", peer->local_id);
	expect_line("connection", peer->connection);
	expect_line("tags", peer == &c ? "web db" : "");
	expect_line("end", "OPEN");
	expect_info(&info);
}

Test(latch_py, each_question_is_answered_for_its_own_socket)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	put_tags();
	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_same_answers(pair.client, &c);
	expect_same_answers(pair.server, &d);
	close_pair(&pair);
}

/* It is also what liblatch says. */
static void expect_end(int fd, const char *end)
{
	tell_of(fd);
	expect_line("end", end);
	cr_expect_str_eq(end_of(fd), end);
}

/* Both ends have sent their FIN, and TCP has ended. */
static void end_in_order(const struct pair *pair)
{
	char byte;

	cr_assert_eq(shutdown(pair->server, SHUT_WR), 0);
	cr_assert_eq(recv(pair->client, &byte, 1, 0), 0);
	cr_assert_eq(shutdown(pair->client, SHUT_WR), 0);
	cr_assert_eq(recv(pair->server, &byte, 1, 0), 0);
	wait_for(tcp_state_of(pair->client) == TCP_CLOSE);
}

Test(latch_py, an_end_of_file_of_the_peer_differs_from_a_break)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), other = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);

	latch_socket(pair.server, &d);
	latch_socket(other.client, &c);
	break_latch(&flow, LATCH_REASON_ADMIN);
	expect_end(pair.client, "BROKEN");
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	wait_for(latch_end(pair.server) == 0);
	expect_end(pair.server, "ORDERLY");
	end_in_order(&other);
	expect_end(other.client, "ORDERLY");
	close_pair(&other);
	close_pair(&pair);
}

Test(latch_py, a_reset_is_no_end_of_the_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);

	if (socket_diag_destroy_owner(&flow, cookie_of(pair.client)))
		cr_skip_test("this kernel has no SOCK_DESTROY");
	expect_end(pair.client, "RESET");
	close_pair(&pair);
}

Test(latch_py, without_a_proven_peer_no_end_is_proven)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), larval = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);
	struct latch latch = latch_of(&flow);

	latch.unproven = 1;
	store_latch(&flow, &latch);
	expect_end(pair.client, "UNPROVEN");
	end_in_order(&pair);
	expect_end(pair.client, "UNPROVEN");
	flow = latch_socket(larval.client, &c);
	latch = latch_of(&flow);
	latch.word.state = LATCH_STATE_LARVAL;
	store_latch(&flow, &latch);
	end_in_order(&larval);
	expect_end(larval.client, "UNPROVEN");
	close_pair(&larval);
	close_pair(&pair);
}

#define DIGITS_14 "00000000000000"
#define DIGITS_62 DIGITS_14 DIGITS_14 DIGITS_14 DIGITS_14 "000000"

Test(latch_py, R_2_7_the_parties_and_the_binding_have_the_keys)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_own_key own = {{0x11}};
	struct latch_identity identity;
	uint32_t params = c.params;

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &c.identity, &identity), 0);
	identity.auth = LATCH_AUTH_PUBKEY;
	identity.key_kind = LATCH_KEY_SPKI;
	identity.key[0] = 0xc1;
	cr_assert_eq(bpf_map_update_elem(maps.identities, &c.identity, &identity, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.own_keys, &params, &own, BPF_ANY), 0);
	tell_of(pair.client);
	expect_line("peer_party", "c.example to-c 11 2 c1" DIGITS_62);
	expect_line("local_party", "w.example  12 0 11" DIGITS_62);
	expect_line("binding", "6c617463682d656e642d706f696e743a"
			       "11" DIGITS_62 "c1" DIGITS_62);
	tell_of(pair.server);
	expect_line("peer_party", "C=CH, O=d, CN=d.example to-d 13 0 None");
	expect_line("binding", text_of_errno(ENODATA));
	close_pair(&pair);
}

Test(latch_py, a_connection_in_clear_has_no_peer_and_says_why)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char no_data[32];

	snprintf(no_data, sizeof(no_data), "errno %d", ENODATA);
	tell_of(pair.client);
	expect_number("state", LATCH_APP_NOT_LATCHED);
	expect_line("peer", no_data);
	expect_line("local", no_data);
	expect_line("connection", no_data);
	expect_line("end", "UNPROVEN");
	expect_number("info.why", LATCH_WHY_CLEAR);
	close_pair(&pair);
}

Test(latch_py, where_nothing_serves_each_question_says_so)
{
	const int families[] = {AF_INET, AF_INET6};
	size_t i;

	change_settings(false, 0, 0);
	for (i = 0; i < 2; i++) {
		int fd = namespace_socket(&ns, families[i], SOCK_STREAM);

		tell_of(fd);
		expect_line("state", "unavailable");
		expect_line("peer", "unavailable");
		expect_line("local", "unavailable");
		expect_line("connection", "unavailable");
		expect_line("end", "unavailable");
		close(fd);
	}
}

/* ---- wishes */

static void expect_all_wishes(int fd)
{
	const struct latch_least wished = {.size = sizeof(wished),
					   .encryption_bits = 256,
					   .icv_bits = 96,
					   .confidential = 1,
					   .replay_protection = 1,
					   .esn = 1};
	struct latch_least least;
	socklen_t length = sizeof(least);

	cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 1);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, "c.example");
	expect_text(fd, LATCH_OPT_EXPECT_CONNECTION, "connection of c");
	expect_text(fd, LATCH_OPT_EXPECT_LOCAL, "local of c");
	expect_text(fd, LATCH_OPT_EXPECT_TAG, "web");
	cr_expect_eq(get_int(fd, LATCH_OPT_EXPECT_CLASS), LATCH_CLASS_PUBLIC_KEY);
	cr_expect_eq(get_int(fd, LATCH_OPT_DISPOSITION), LATCH_DISPOSE_WAIT);
	cr_expect_eq(get_int(fd, LATCH_OPT_PROTECTION), LATCH_PROTECTION_BYPASS);
	cr_expect_eq(get(fd, LATCH_OPT_EXPECT_QUALITY, &least, &length), 0);
	cr_expect_eq(memcmp(&least, &wished, sizeof(least)), 0);
}

/* ---- two connections, and wrong arguments */

static void expect_same(int fd, int other, const char *answer)
{
	char text[16];
	int copy = dup(other);

	snprintf(text, sizeof(text), "%d", copy);
	tell_as("--same", fd, text);
	expect_line("same", answer);
	close(copy);
}

Test(latch_py, L_6_3_1_two_connections_have_the_same_peer_or_not)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), other = connect_pair(IPV6, IPV6, NULL);
	struct latch_flow flow = latch_socket(other.client, &c);
	struct latch_params params;
	uint32_t index = c.params;

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_same(pair.client, other.client, "True");
	expect_same(pair.client, pair.server, "False");
	expect_same(pair.client, other.server, text_of_errno(ENOKEY));
	expect_same(other.server, pair.client, text_of_errno(ENOKEY));
	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	expect_same(pair.client, other.client, text_of_errno(ENOKEY));
	cr_assert_eq(bpf_map_lookup_elem(maps.params, &index, &params), 0);
	params.local_id = d.local;
	index = d.params;
	cr_assert_eq(bpf_map_update_elem(maps.params, &index, &params, BPF_ANY), 0);
	expect_same(pair.client, pair.server, "False"); /* of one peer, to two local identities */
	close_pair(&pair);
	close_pair(&other);
}

Test(latch_py, a_wrong_argument_or_a_late_wish_is_shown_in_words)
{
	static const char socket_words[] = "; socket.socket(fileno=fd) makes one of a descriptor";
	static const char *const of_int[] = {"state_int", "require_int", "connect_int",
					     "accept_int"};
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char text[160];
	size_t i;

	tell_as("--words", pair.client, "");
	snprintf(text, sizeof(text), "TypeError: expected a socket, not int%s", socket_words);
	for (i = 0; i < sizeof(of_int) / sizeof(of_int[0]); i++)
		expect_line(of_int[i], text);
	snprintf(text, sizeof(text), "TypeError: expected a socket, not bytes%s", socket_words);
	expect_line("peer_bytes", text);
	expect_line("expect_bytes", "TypeError: expected a str, as \"c.example\", not bytes");
	expect_line("expect_int", "TypeError: expected a str, as \"c.example\", not int");
	expect_line("class_bytes", "TypeError: expected a Class or its name, not bytes");
	expect_line("class_word",
		    "ValueError: no class \"pubkey\"; expected one of psk, public-key, eap");
	snprintf(text, sizeof(text),
		 "OSError: [Errno %d] the socket is already connected or listening, or has "
		 "datagrams: wish before connect(), listen() and, of UDP, bind()",
		 EISCONN);
	expect_line("late", text);
	close_pair(&pair);
}

Test(latch_py, a_class_is_wished_by_its_name)
{
	static const char *const names[] = {"psk", "public-key", "eap"};
	int fd = tcp_socket(IPV4), i;

	for (i = 0; i < 3; i++) {
		tell_as("--class", fd, names[i]);
		expect_line("class", "None");
		cr_expect_eq(get_int(fd, LATCH_OPT_EXPECT_CLASS), LATCH_CLASS_PSK + i);
	}
	close(fd);
}

static const char *const wishes[] = {"require",	     "expect_peer", "expect_connection",
				     "expect_local", "expect_tag",  "expect_class",
				     "disposition",  "bypass",	    "quality"};
#define WISHES (sizeof(wishes) / sizeof(wishes[0]))

Test(latch_py, each_wish_is_that_of_the_socket)
{
	int fd = tcp_socket(IPV4), other = tcp_socket(IPV4);
	size_t i;

	tell_as("--wish", fd, "");
	for (i = 0; i < WISHES; i++)
		expect_line(wishes[i], "None");
	for (i = 1; i < 5; i++)
		expect_line(wishes[i], "not empty");
	expect_line("datagrams", "errno 22"); /* EINVAL: TCP */
	expect_all_wishes(fd);
	expect_no_wish(other);
	close(fd);
	close(other);
}

Test(latch_py, where_nothing_serves_each_wish_fails_and_nothing_is_connected)
{
	int listener = start_listener(IPV4, NULL), fd = tcp_socket(IPV4);
	char address[32];
	size_t i;

	change_settings(false, 0, 0);
	tell_as("--wish", fd, "");
	for (i = 0; i < WISHES; i++)
		expect_line(wishes[i], "unavailable");
	snprintf(address, sizeof(address), "%s %u", IPV4, port_of(listener));
	tell_as("--connect", fd, address);
	expect_line("connect", "unavailable");
	cr_expect_eq(tcp_state_of(fd), TCP_CLOSE);
	tell_as("--accept", listener, "");
	expect_line("accept", "unavailable");
	close(fd);
	close(listener);
}

static void expect_connect(int fd, int there, int error)
{
	char address[32], text[32];

	snprintf(address, sizeof(address), "%s %u", IPV4, port_of(there));
	snprintf(text, sizeof(text), error ? "errno %d" : "None", error);
	tell_as("--connect", fd, address);
	expect_line("connect", text);
}

static void expect_accept_fails(int listener)
{
	char text[32];

	snprintf(text, sizeof(text), "errno %d", ENOKEY);
	tell_as("--accept", listener, "");
	expect_line("accept", text);
}

static void latch_before(int listener, int client)
{
	struct latch_flow flow =
		flow_between(name_of(client, getsockname), name_of(listener, getsockname));
	struct latch latch = latch_to(&d, 0);

	latch_socket_as(client, &c, flow);
	flow = other_end(flow);
	latch.owner = LATCH_OWNER_HANDSHAKE;
	store_latch(&flow, &latch);
}

Test(latch_py, a_latched_connection_is_connected_and_accepted)
{
	int listener = bound_socket(IPV4, NULL), client = bound_socket(IPV4, NULL);

	cr_assert_eq(set_int(listener, LATCH_OPT_REQUIRE, 1), 0);
	cr_assert_eq(set_int(client, LATCH_OPT_REQUIRE, 1), 0);
	cr_assert_eq(listen(listener, 8), 0);
	latch_before(listener, client);
	expect_connect(client, listener, 0);
	tell_as("--accept", listener, "");
	expect_line("accept", d.id);
	close(client);
	close(listener);
}

/* As after `latchctl purge`: the wish is gone, and d may be there by now. */
Test(latch_py, a_socket_without_a_wish_is_not_connected_and_accepts_nothing)
{
	int listener = start_listener(IPV4, NULL), client = bound_socket(IPV4, NULL), plain;

	latch_before(listener, client);
	expect_connect(client, listener, ENOKEY);
	expect_line("words", "the socket has no wish");
	cr_expect_eq(tcp_state_of(client), TCP_CLOSE);
	plain = connect_to(IPV4, listener, NULL);
	wait_for(is_readable(listener));
	expect_accept_fails(listener);
	cr_expect(is_readable(listener), "not accepted");
	close(plain);
	close(client);
	close(listener);
}

Test(latch_py, a_connection_without_a_latch_is_an_error_at_both_ends)
{
	int listener = bound_socket(IPV4, NULL), client = tcp_socket(IPV4);
	char byte;

	cr_assert_eq(set_int(listener, LATCH_OPT_REQUIRE, 1), 0);
	cr_assert_eq(listen(listener, 8), 0);
	cr_assert_eq(set_int(client, LATCH_OPT_REQUIRE, 1), 0);
	expect_connect(client, listener, ENOKEY);
	expect_line("words", "no latch that proves a peer: REQUIRED");
	expect_accept_fails(listener);
	cr_expect_eq(recv(client, &byte, 1, 0), 0, "closed");
	close(client);
	close(listener);
}

/* Without latchd nothing ends it before. */
static void check_timed_out(int listener, const struct peer *under, int error)
{
	int fd = bound_socket(IPV4, NULL), once = 1;
	struct latch_flow flow =
		flow_between(name_of(fd, getsockname), name_of(listener, getsockname));

	cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof(once)), 0);
	put_sa_of(&flow, LATCH_SA_BOUND, under->params);
	expect_connect(fd, listener, error);
	close(fd);
}

Test(latch_py, R_2_3_18_connect_says_that_the_sa_is_another_peers)
{
	int listener = start_listener(IPV4, NULL);

	attach_gates();
	make_esp("ip", "tcp", port_of(listener));
	check_timed_out(listener, &d, EKEYREJECTED);
	check_timed_out(listener, &c, ETIMEDOUT);
	close(listener);
}

Test(latch_py, a_datagram_socket_is_connected_before_it_has_a_latch)
{
	int there = udp_bound(IPV4), fd = udp_bound(IPV4), plain = udp_bound(IPV4);

	attach_gates();
	cr_assert_eq(set_int(fd, LATCH_OPT_REQUIRE, 1), 0);
	expect_connect(fd, there, 0);
	cr_expect_eq(udp_send(fd), -EPERM, "in clear");
	expect_connect(plain, there, ENOKEY);
	close(fd);
	close(plain);
	close(there);
}

TestSuite(latch_py_names);

Test(latch_py_names, the_module_has_each_enumerator_of_the_header_with_its_value)
{
	tell("--missing include/latch_sockopt.h");
	cr_expect_str_eq(output, "");
}
