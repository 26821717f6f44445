/* SPDX-License-Identifier: BSD-2-Clause */
/* Hostile and ordinary arguments of a question, sockets that are not served, and other options. */
#include "api_fixture.h"
#include "seed.h"
#include "udp.h"

#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/un.h>

TestSuite(api_option, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

#define GUARD 0x5a
#define ROOM  8192

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

/* ---- sizes */

/* Two peers: the answer of the other one would be seen. */
static struct pair latched_pair(void)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	return pair;
}

static bool is_untouched(const uint8_t *from, const uint8_t *to)
{
	while (from < to)
		if (*from++ != GUARD)
			return false;
	return true;
}

/* Nothing is written on an error, and nothing behind the answer otherwise. */
static int ask_sized(int fd, int option, socklen_t size, uint8_t buffer[ROOM])
{
	socklen_t length = size;
	int err;

	memset(buffer, GUARD, ROOM);
	err = get(fd, option, buffer, &length);
	if (err) {
		cr_expect(is_untouched(buffer, buffer + ROOM), "option %d size %u", option, size);
		return err;
	}
	cr_expect_leq(length, size);
	cr_expect(is_untouched(buffer + length, buffer + ROOM), "option %d size %u", option, size);
	return (int)length;
}

static void expect_sizes(int fd, int option, socklen_t needed, int error)
{
	static const socklen_t larger[] = {1023, 1024, 4095, 4096, 4097, ROOM};
	static uint8_t buffer[ROOM];
	socklen_t size;
	size_t i;

	for (size = 0; size < needed; size++)
		cr_expect_eq(ask_sized(fd, option, size, buffer), error, "option %d size %u",
			     option, size);
	cr_expect_eq(ask_sized(fd, option, needed, buffer), (int)needed);
	for (i = 0; i < sizeof(larger) / sizeof(larger[0]); i++)
		cr_expect_eq(ask_sized(fd, option, larger[i], buffer), (int)needed,
			     "option %d size %u", option, larger[i]);
}

Test(api_option, a_number_and_a_structure_need_their_size)
{
	struct pair pair = latched_pair();

	expect_sizes(pair.client, LATCH_OPT_STATE, sizeof(int), -EINVAL);
	expect_sizes(pair.client, LATCH_OPT_INFO, sizeof(struct latch_info), -EINVAL);
	close_pair(&pair);
}

Test(api_option, a_text_is_whole_or_ERANGE)
{
	struct pair pair = latched_pair();

	expect_sizes(pair.client, LATCH_OPT_PEER_ID, (socklen_t)strlen(c.id), -ERANGE);
	expect_sizes(pair.server, LATCH_OPT_PEER_ID, (socklen_t)strlen(d.id), -ERANGE);
	expect_sizes(pair.client, LATCH_OPT_LOCAL_ID, (socklen_t)strlen(c.local_id), -ERANGE);
	expect_sizes(pair.client, LATCH_OPT_CONNECTION, (socklen_t)strlen(c.connection), -ERANGE);
	close_pair(&pair);
}

Test(api_option, the_text_of_an_ended_connection_is_whole_or_ERANGE)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);

	latch_socket(pair.server, &d);
	break_latch(&flow, LATCH_REASON_ADMIN);
	if (socket_diag_destroy_owner(&flow, cookie_of(pair.client)))
		cr_skip_test("this kernel has no SOCK_DESTROY");
	expect_sizes(pair.client, LATCH_OPT_PEER_ID, (socklen_t)strlen(c.id), -ERANGE);
	expect_sizes(pair.client, LATCH_OPT_INFO, sizeof(struct latch_info), -EINVAL);
	close_pair(&pair);
}

Test(api_option, the_longest_identity_is_answered_whole)
{
	struct pair pair = latched_pair();
	char longest[LATCH_TEXT_MAX];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	put_identity(c.identity, longest, "to-c");
	expect_text(pair.client, LATCH_OPT_PEER_ID, longest);
	expect_sizes(pair.client, LATCH_OPT_PEER_ID, LATCH_TEXT_MAX - 1, -ERANGE);
	expect_text(pair.server, LATCH_OPT_PEER_ID, d.id);
	close_pair(&pair);
}

/* A peer chooses its identity. */
Test(api_option, an_identity_is_answered_as_it_is)
{
	static const char strange[] = "c.example\n\x1b[2J\xff;rm -rf";
	struct pair pair = latched_pair();

	put_identity(c.identity, strange, "to-c");
	expect_text(pair.client, LATCH_OPT_PEER_ID, strange);
	close_pair(&pair);
}

Test(api_option, an_empty_text_is_no_answer)
{
	struct pair pair = latched_pair();

	put_identity(c.identity, "", "");
	cr_expect_eq(ask_text(pair.client, LATCH_OPT_PEER_ID, (char[TEXT_SIZE]){0}), -ENODATA);
	cr_expect_eq(ask_text(pair.client, LATCH_OPT_CONNECTION, (char[TEXT_SIZE]){0}), -ENODATA);
	close_pair(&pair);
}

/* ---- pointers */

Test(api_option, without_a_buffer_the_length_of_a_text_is_answered)
{
	struct pair pair = latched_pair();
	socklen_t length = LATCH_TEXT_MAX;

	cr_expect_eq(get(pair.client, LATCH_OPT_PEER_ID, NULL, &length), 0);
	cr_expect_eq(length, strlen(c.id));
	length = 3;
	cr_expect_eq(get(pair.client, LATCH_OPT_PEER_ID, NULL, &length), -ERANGE);
	close_pair(&pair);
}

Test(api_option, bad_pointers_and_sizes_are_errors)
{
	struct pair pair = latched_pair();
	socklen_t length = TEXT_SIZE;
	char *closed = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(closed, MAP_FAILED);
	cr_assert_eq(mprotect(closed + 4096, 4096, PROT_NONE), 0);
	cr_expect_eq(get(pair.client, LATCH_OPT_PEER_ID, (void *)8, &length), -EFAULT);
	cr_expect_eq(get(pair.client, LATCH_OPT_INFO, closed + 4096 - 8, &length), -EFAULT);
	/* The kernel takes a size that it cannot read for 0. */
	cr_expect_lt(get(pair.client, LATCH_OPT_PEER_ID, closed, (socklen_t *)(closed + 4096)), 0);
	length = (socklen_t)-1;
	cr_expect_lt(get(pair.client, LATCH_OPT_PEER_ID, closed, &length), 0);
	length = 0x7fffffff;
	cr_expect_eq(get(pair.client, LATCH_OPT_PEER_ID, closed, &length), 0);
	cr_expect_eq(length, strlen(c.id));
	expect_peer(pair.server, &d);
	close_pair(&pair);
	munmap(closed, 8192);
}

/* ---- options */

Test(api_option, an_unknown_option_is_ENOSYS)
{
	static const int unknown[] = {-1, 0,   9,	15,	    LATCH_OPT_NARROW,
				      29, 255, 0x10000, 0x7fffffff, -0x7fffffff - 1};
	static uint8_t buffer[ROOM];
	struct pair pair = latched_pair();
	size_t i;

	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		cr_expect_eq(ask_sized(pair.client, unknown[i], 1024, buffer), -ENOSYS, "%d",
			     unknown[i]);
	close_pair(&pair);
}

Test(api_option, no_question_can_be_set_and_no_wish_of_a_connection)
{
	struct pair pair = latched_pair();
	struct pair udp = udp_pair(IPV6, IPV6);
	char value[16] = "c.example";
	int option;

	for (option = -1; option < 64; option++) {
		bool wish = (option >= LATCH_OPT_REQUIRE && option <= LATCH_OPT_EXPECT_TAG &&
			     option != LATCH_OPT_NARROW) ||
			    option == LATCH_OPT_DATAGRAMS;

		if (option == LATCH_OPT_NEWS) /* of a connection, too */
			continue;
		cr_expect_eq(setsockopt(pair.client, SOL_LATCH, option, value, sizeof(value)), -1);
		cr_expect_eq(errno, wish ? EISCONN : ENOSYS, "%d: %s", option, strerror(errno));
		cr_expect_eq(setsockopt(udp.client, SOL_LATCH, option, value, sizeof(value)), -1);
		cr_expect_eq(errno, wish ? EISCONN : ENOSYS, "%d: %s", option, strerror(errno));
	}
	expect_peer(pair.client, &c);
	close_pair(&pair);
	udp_close(&udp);
}

/* ---- sockets */

Test(api_option, other_kinds_of_sockets_are_not_served)
{
	static const struct {
		int domain, type, protocol;
		const char *name;
	} kinds[] = {
		{AF_UNIX, SOCK_STREAM, 0, "UNIX"},
		{AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "netlink"},
		{AF_PACKET, SOCK_DGRAM, 0, "packet"},
		{AF_INET, SOCK_RAW, IPPROTO_TCP, "raw TCP"},
		{AF_INET, SOCK_RAW, IPPROTO_UDP, "raw UDP"},
		{AF_INET6, SOCK_RAW, IPPROTO_UDP, "raw UDP over IPv6"},
		{AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "MPTCP"},
		{AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, "MPTCP over IPv6"},
		{AF_INET, SOCK_STREAM, IPPROTO_SCTP, "SCTP"},
		{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "UDP-Lite"},
	};
	size_t i, tried = 0;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = socket(kinds[i].domain, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
		int state;

		/* Not each kernel has each protocol. */
		if (fd < 0)
			continue;
		tried++;
		state = ask_state(fd);
		cr_expect(state == -EOPNOTSUPP || state == -ENOPROTOOPT, "%s: %d", kinds[i].name,
			  state);
		close(fd);
	}
	cr_expect_geq(tried, 4);
}

static int mptcp_listener(void)
{
	struct address here = address_of(IPV4, 0);
	int fd = netns_socket(ns.fd, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	cr_assert_eq(bind(fd, &here.any, here.length), 0);
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

/* Programs in Go listen so without knowing. */
Test(api_option, a_tcp_client_of_an_mptcp_listener_is_served)
{
	int listener = mptcp_listener(), client, server;

	cr_expect(is_unavailable(listener));
	client = connect_to(IPV4, listener, NULL);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	latch_socket(server, &c);
	latch_socket(client, &d);
	expect_peer(server, &c);
	expect_peer(client, &d);
	close(client);
	close(server);
	close(listener);
}

/* The latch of its subflow is there, and is no answer for the whole connection. */
Test(api_option, a_connection_of_mptcp_is_not_served)
{
	int listener = mptcp_listener(), server;
	int client = netns_socket(ns.fd, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow;

	cr_assert_eq(connect(client, &there.any, there.length), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	flow = flow_of(client);
	latch_socket_as(client, &c, flow);
	cr_expect(is_unavailable(client));
	cr_expect(is_unavailable(server));
	close(client);
	close(server);
	close(listener);
}

Test(api_option, a_file_that_is_no_socket_is_ENOTSOCK)
{
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_expect_eq(ask_state(fds[0]), -ENOTSOCK);
	cr_expect_eq(ask_state(-1), -EBADF);
	close(fds[0]);
	close(fds[1]);
}

/* ---- anything */

#define RANDOM_QUESTIONS 200000

struct asked {
	int fd;
	const struct peer *peer; /* NULL: no latch */
};

/* An answer is the socket's own, and of the size that it says. */
static void check_answer(const struct asked *asked, int option, const uint8_t *answer, int length)
{
	struct latch_info info;
	int state;

	if (option == LATCH_OPT_STATE) {
		cr_assert_eq(length, sizeof(state));
		memcpy(&state, answer, sizeof(state));
		cr_assert_eq(state, asked->peer ? LATCH_APP_ESTABLISHED : LATCH_APP_NOT_LATCHED);
	} else if (option == LATCH_OPT_INFO) {
		cr_assert_eq(length, sizeof(info));
		memcpy(&info, answer, sizeof(info));
		cr_assert_eq(info.peer_number, asked->peer ? asked->peer->identity : 0);
	} else if (option == LATCH_OPT_PEER_ID) {
		cr_assert_not_null(asked->peer);
		cr_assert_eq(length, (int)strlen(asked->peer->id));
		cr_assert_eq(memcmp(answer, asked->peer->id, (size_t)length), 0);
	}
}

static void ask_anything(const struct asked *asked, struct random *random, uint8_t buffer[ROOM])
{
	static const int levels[] = {SOL_LATCH,	 SOL_LATCH,    SOL_LATCH,   SOL_SOCKET, IPPROTO_TCP,
				     IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, 0x4C42,	-1};
	int level = levels[draw(random, 10)], option = (int)draw(random, 9) - 2;
	socklen_t size = draw(random, 3) ? draw(random, 600) : draw(random, ROOM);
	void *to = draw(random, 50) ? buffer : (void *)(uintptr_t)draw(random, 4096);
	socklen_t length = size;

	if (!draw(random, 100))
		option = (int)draw(random, 0xffffffff);
	if (getsockopt(asked->fd, level, option, to, &length))
		return;
	if (level == SOL_LATCH && to == buffer) {
		cr_assert_leq(length, size);
		check_answer(asked, option, buffer, (int)length);
	}
}

Test(api_option, random_questions_get_the_socket_s_own_answer_or_an_error)
{
	static uint8_t buffer[ROOM];
	struct random random = {env_number("SEED", 1)};
	struct pair pair = latched_pair(), clear = connect_pair(IPV6, IPV6, NULL);
	struct pair udp = udp_pair(IPV4, IPV4);
	const struct asked asked[] = {{pair.client, &c},
				      {pair.server, &d},
				      {clear.client, NULL},
				      {udp.client, &d},
				      {udp.server, NULL}};
	unsigned int i;

	latch_socket_as(udp.client, &d, udp_flow(udp.client));
	for (i = 0; i < RANDOM_QUESTIONS; i++)
		ask_anything(&asked[draw(&random, 5)], &random, buffer);
	expect_peer(pair.client, &c);
	expect_peer(pair.server, &d);
	close_pair(&pair);
	close_pair(&clear);
	udp_close(&udp);
}

/* ---- on and off */

Test(api_option, a_switched_off_interface_answers_nothing)
{
	struct pair pair = latched_pair();
	struct pair udp = udp_pair(IPV6, IPV6);

	change_settings(false, 0, 0);
	cr_expect(is_unavailable(pair.client));
	cr_expect(is_unavailable(udp.client));
	change_settings(true, 0, 0);
	expect_peer(pair.client, &c);
	close_pair(&pair);
	udp_close(&udp);
}

Test(api_option, a_socket_outside_the_cgroup_is_not_served)
{
	struct pair pair;

	cr_assert_eq(cgroup_move_to(cgroup_before), 0);
	pair = connect_pair(IPV4, IPV4, NULL);
	cr_expect(is_unavailable(pair.client));
	cr_assert_eq(cgroup_move_to(cgroup_path), 0);
	cr_expect(is_unavailable(pair.client), "a socket stays in the cgroup of its creation");
	close_pair(&pair);
}

Test(api_option, a_socket_in_a_cgroup_below_is_served)
{
	char below[400];
	struct pair pair;

	snprintf(below, sizeof(below), "%s/below", cgroup_path);
	cr_assert_eq(mkdir(below, 0755), 0);
	cr_assert_eq(cgroup_move_to(below), 0);
	pair = latched_pair();
	expect_peer(pair.client, &c);
	expect_peer(pair.server, &d);
	close_pair(&pair);
	cr_assert_eq(cgroup_move_to(cgroup_path), 0);
	rmdir(below);
}
