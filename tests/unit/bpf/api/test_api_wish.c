/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setsockopt() of level SOL_LATCH: which wishes are accepted, on which socket and when. What they
 * do is in tests/unit/bpf/gate/test_gate_wish.c.
 */
#include "wish_fixture.h"

#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/mman.h>

TestSuite(api_wish, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static const struct latch_least some = {.size = sizeof(some), .encryption_bits = 128, .esn = 1};

/* ---- what is wished is read back */

static void check_all(int fd)
{
	struct latch_least least;
	socklen_t length = sizeof(least);

	expect_no_wish(fd);
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), 0, "%s", strerror(errno));
	cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 1, "implied");
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_CONNECTION, c.connection), 0);
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_LOCAL, d.local_id), 0);
	cr_expect_eq(set_int(fd, LATCH_OPT_EXPECT_CLASS, LATCH_CLASS_PUBLIC_KEY), 0);
	cr_expect_eq(set_int(fd, LATCH_OPT_DISPOSITION, LATCH_DISPOSE_WAIT), 0);
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, &some, sizeof(some)), 0);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, c.id);
	expect_text(fd, LATCH_OPT_EXPECT_CONNECTION, c.connection);
	expect_text(fd, LATCH_OPT_EXPECT_LOCAL, d.local_id);
	cr_expect_eq(get_int(fd, LATCH_OPT_EXPECT_CLASS), LATCH_CLASS_PUBLIC_KEY);
	cr_expect_eq(get_int(fd, LATCH_OPT_DISPOSITION), LATCH_DISPOSE_WAIT);
	cr_expect_eq(get(fd, LATCH_OPT_EXPECT_QUALITY, &least, &length), 0);
	cr_expect_eq(memcmp(&least, &some, sizeof(some)), 0);
}

/* A text that replaces a longer one leaves nothing of it. */
static void take_all_back(int fd)
{
	const struct latch_least none = {.size = sizeof(none)};
	size_t i;

	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, "d"), 0);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, "d");
	for (i = 0; i < 3; i++) {
		cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 1);
		cr_expect_eq(set_int(fd, int_wishes[i], 0), 0);
		cr_expect_eq(set_text(fd, text_wishes[i], ""), 0);
	}
	cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 1, "the quality is left");
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, &none, sizeof(none)), 0);
	expect_no_wish(fd);
}

Test(api_wish, R_2_10_each_wish_is_read_back_and_taken_back)
{
	int fds[] = {tcp_socket(IPV4), tcp_socket(IPV6), udp_bound(IPV4), udp_bound(IPV6)};
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		check_all(fds[i]);
		take_all_back(fds[i]);
		close(fds[i]);
	}
}

Test(api_wish, another_socket_has_no_wish)
{
	int one = tcp_socket(IPV4), other = tcp_socket(IPV4);

	cr_expect_eq(set_text(one, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_expect_eq(set_text(other, LATCH_OPT_EXPECT_LOCAL, c.local_id), 0);
	expect_text(one, LATCH_OPT_EXPECT_PEER, c.id);
	cr_expect_eq(ask_text(other, LATCH_OPT_EXPECT_PEER, (char[TEXT_SIZE]){0}), -ENODATA);
	close(one);
	expect_text(other, LATCH_OPT_EXPECT_LOCAL, c.local_id);
	close(other);
}

Test(api_wish, R_2_3_16_an_accepted_socket_has_the_wishes_of_its_listener)
{
	int listener = bound_socket(IPV4, NULL), client, server;

	cr_assert_eq(set_text(listener, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_assert_eq(listen(listener, 8), 0);
	client = connect_to(IPV4, listener, NULL);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	close(listener);
	expect_text(server, LATCH_OPT_EXPECT_PEER, c.id);
	cr_expect_eq(set_text(server, LATCH_OPT_EXPECT_PEER, d.id), -EISCONN);
	expect_no_wish(client);
	close(client);
	close(server);
}

/* ---- values */

Test(api_wish, a_number_has_four_bytes_and_a_known_value)
{
	static const int last[] = {1, LATCH_CLASS_EAP, LATCH_DISPOSE_UNREACHABLE};
	static const int wrong[] = {-1, 0x7fffffff, -0x7fffffff - 1, 256};
	static char buffer[4097];
	int fd = tcp_socket(IPV4);
	size_t i, j, size;

	for (i = 0; i < 3; i++) {
		for (size = 0; size < 65; size++)
			if (size != sizeof(int))
				cr_expect_eq(set_wish(fd, int_wishes[i], buffer, size), -EINVAL);
		cr_expect_eq(set_wish(fd, int_wishes[i], buffer, sizeof(buffer)), -EINVAL);
		for (j = 0; j < 4; j++)
			cr_expect_eq(set_int(fd, int_wishes[i], wrong[j]), -EINVAL);
		cr_expect_eq(set_int(fd, int_wishes[i], last[i] + 1), -EINVAL);
		cr_expect_eq(set_int(fd, int_wishes[i], last[i]), 0);
		cr_expect_eq(set_int(fd, int_wishes[i], last[i] + 1), -EINVAL);
		cr_expect_eq(get_int(fd, int_wishes[i]), last[i]);
	}
	close(fd);
}

Test(api_wish, a_quality_has_its_size_and_known_values)
{
	struct latch_least wrong[5] = {some, some, some, some, some};
	int fd = tcp_socket(IPV4);
	size_t i;

	wrong[0].size = sizeof(some) + 4; /* of which 12 bytes come */
	wrong[1].confidential = 2;
	wrong[2].replay_protection = 255;
	wrong[3].esn = 2;
	wrong[4].pad = 1;
	for (i = 0; i < 5; i++)
		cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, &wrong[i], sizeof(some)),
			     -EINVAL);
	for (i = 0; i < sizeof(some); i++)
		cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, &some, i), -EINVAL);
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, wrong, sizeof(some) + 1), -EINVAL);
	expect_no_wish(fd);
	close(fd);
}

/* Of a program with a later header. */
struct later_least {
	struct latch_least least;
	uint8_t more[64 - sizeof(struct latch_least) + 1];
};

static int set_later(int fd, struct later_least *later, size_t size)
{
	later->least.size = (uint32_t)size;
	return set_wish(fd, LATCH_OPT_EXPECT_QUALITY, later, size);
}

Test(api_wish, a_quality_may_be_longer_where_the_rest_asks_for_nothing)
{
	struct later_least later = {.least = some};
	int fd = tcp_socket(IPV4);
	struct latch_least least;
	socklen_t length = sizeof(least);
	size_t i;

	for (i = 0; i < 64 - sizeof(some); i++) {
		later.more[i] = 1;
		cr_expect_eq(set_later(fd, &later, sizeof(some) + 1 + i), -EINVAL, "%zu", i);
		cr_expect_eq(set_later(fd, &later, 64), -EINVAL, "%zu", i);
		later.more[i] = 0;
	}
	expect_no_wish(fd);
	cr_expect_eq(set_later(fd, &later, 65), -EINVAL);
	cr_expect_eq(set_later(fd, &later, 64), 0);
	cr_expect_eq(set_later(fd, &later, sizeof(some) + 4), 0);
	cr_expect_eq(get(fd, LATCH_OPT_EXPECT_QUALITY, &least, &length), 0);
	cr_expect_eq(memcmp(&least, &some, sizeof(some)), 0);
	close(fd);
}

static void expect_longest(int fd, int option, size_t longest)
{
	static char text[8192];

	memset(text, 'x', sizeof(text));
	cr_expect_eq(set_wish(fd, option, text, longest + 1), -EINVAL);
	cr_expect_eq(set_wish(fd, option, text, 4096), -EINVAL);
	cr_expect_eq(set_wish(fd, option, text, 4097), -EINVAL);
	cr_expect_eq(set_wish(fd, option, text, sizeof(text)), -EINVAL);
	cr_expect_eq(ask_text(fd, option, (char[TEXT_SIZE]){0}), -ENODATA);
	cr_expect_eq(set_wish(fd, option, text, longest), 0);
	text[longest] = '\0';
	expect_text(fd, option, text);
}

Test(api_wish, a_text_is_taken_whole_or_not_at_all)
{
	int fd = tcp_socket(IPV4);

	expect_longest(fd, LATCH_OPT_EXPECT_PEER, LATCH_TEXT_MAX - 1);
	expect_longest(fd, LATCH_OPT_EXPECT_LOCAL, LATCH_TEXT_MAX - 1);
	expect_longest(fd, LATCH_OPT_EXPECT_CONNECTION, LATCH_NAME_MAX - 1);
	expect_longest(fd, LATCH_OPT_EXPECT_TAG, LATCH_TAG_MAX - 1);
	close(fd);
}

static bool is_name_byte(int byte, bool first)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' ||
	       (byte == '-' && !first);
}

/* As from a file read with its line feed. No [peer NAME] of latchd.conf can have such a name. */
Test(api_wish, a_tag_that_no_set_can_have_is_refused_and_changes_nothing)
{
	static const char *const others[] = {
		"friends\n", "\n",	     " friends", "friends ", "fri ends",     "fri\tends",
		"[friends]", "friends,foes", "*",	 "-friends", "fr\303\251res"};
	int fd = tcp_socket(IPV4), byte;
	char text[] = "aa";
	size_t i;

	cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_TAG, "before"), 0);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_TAG, others[i]), -EINVAL, "%s",
			     others[i]);
		expect_text(fd, LATCH_OPT_EXPECT_TAG, "before");
		cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, others[i]), 0, "of a peer");
	}
	for (byte = 0; byte < 256; byte++) {
		text[0] = (char)byte;
		text[1] = 'a';
		cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_TAG, text, 2),
			     is_name_byte(byte, true) ? 0 : -EINVAL, "%02x first", byte);
		text[0] = 'a';
		text[1] = (char)byte;
		cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_TAG, text, 2),
			     is_name_byte(byte, false) ? 0 : -EINVAL, "%02x", byte);
	}
	close(fd);
}

/* Sets come at a reload, and the wish counts when the connection begins. */
Test(api_wish, a_tag_that_no_set_has_now_is_accepted)
{
	int fd = tcp_socket(IPV4);

	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_TAG, "Of_a.later-reload9"), 0);
	expect_text(fd, LATCH_OPT_EXPECT_TAG, "Of_a.later-reload9");
	close(fd);
}

/* It would be another text for who reads up to the NUL. */
Test(api_wish, a_text_with_a_NUL_is_refused_and_changes_nothing)
{
	static const char nul[] = "c.example\0.evil";
	int fd = tcp_socket(IPV4);
	size_t i;

	for (i = 0; i < 3; i++) {
		cr_expect_eq(set_text(fd, text_wishes[i], "before"), 0);
		cr_expect_eq(set_wish(fd, text_wishes[i], nul, sizeof(nul) - 1), -EINVAL);
		cr_expect_eq(set_wish(fd, text_wishes[i], nul, 10), -EINVAL, "at its end");
		cr_expect_eq(set_wish(fd, text_wishes[i], nul + 9, 1), -EINVAL);
		expect_text(fd, text_wishes[i], "before");
		cr_expect_eq(set_wish(fd, text_wishes[i], nul, 9), 0);
		expect_text(fd, text_wishes[i], "c.example");
	}
	close(fd);
}

Test(api_wish, bad_pointers_are_EFAULT_and_change_nothing)
{
	char *end = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = tcp_socket(IPV4);

	cr_assert_neq(end, MAP_FAILED);
	cr_assert_eq(mprotect(end + 4096, 4096, PROT_NONE), 0);
	memset(end, 'x', 4096);
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_PEER, end + 4096 - 4, 8), -EFAULT);
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_PEER, NULL, 8), -EFAULT);
	cr_expect_eq(set_wish(fd, LATCH_OPT_REQUIRE, (void *)8, 4), -EFAULT);
	cr_expect_eq(set_wish(fd, LATCH_OPT_REQUIRE, end, (size_t)-1), -EINVAL);
	expect_no_wish(fd);
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_PEER, end + 4096 - 4, 4), 0);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, "xxxx");
	close(fd);
	munmap(end, 8192);
}

/* ---- options */

Test(api_wish, what_is_no_wish_cannot_be_set)
{
	static const int others[] = {-1, 0,  1,	      2,	 5, 15, LATCH_OPT_NARROW,
				     26, 29, 0x10000, 0x7fffffff};
	int fd = tcp_socket(IPV4), value = 1;
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		cr_expect_eq(set_wish(fd, others[i], &value, sizeof(value)), -ENOSYS, "%d",
			     others[i]);
	expect_no_wish(fd);
	close(fd);
}

Test(api_wish, only_a_udp_socket_wishes_for_each_datagram)
{
	int tcp = tcp_socket(IPV4), udp = udp_bound(IPV4);

	cr_expect_eq(set_int(tcp, LATCH_OPT_DATAGRAMS, 1), -EINVAL);
	cr_expect_eq(set_int(tcp, LATCH_OPT_DATAGRAMS, 0), -EINVAL);
	expect_no_wish(tcp);
	cr_expect_eq(get_int(udp, LATCH_OPT_DATAGRAMS), 0);
	cr_expect_eq(set_int(udp, LATCH_OPT_DATAGRAMS, 2), -EINVAL);
	expect_no_wish(udp);
	cr_expect_eq(set_int(udp, LATCH_OPT_DATAGRAMS, 1), 0);
	cr_expect_eq(get_int(udp, LATCH_OPT_DATAGRAMS), 1);
	cr_expect_eq(get_int(udp, LATCH_OPT_REQUIRE), 1, "a wish as the others");
	cr_expect_eq(set_int(udp, LATCH_OPT_DATAGRAMS, 0), 0);
	expect_no_wish(udp);
	close(tcp);
	close(udp);
}

static bool is_unavailable_for(int fd)
{
	int err = set_int(fd, LATCH_OPT_REQUIRE, 1);

	return err == -EOPNOTSUPP || err == -ENOPROTOOPT;
}

/* So is each wish that an application sets while latchd's interface is off. */
Test(api_wish, without_the_interface_no_wish_is_accepted)
{
	int fd = tcp_socket(IPV4);

	change_settings(false, 0, 0);
	cr_expect(is_unavailable_for(fd));
	change_settings(true, 0, 0);
	expect_no_wish(fd);
	cr_expect_eq(set_int(fd, LATCH_OPT_REQUIRE, 1), 0);
	close(fd);
}

Test(api_wish, other_kinds_of_sockets_take_no_wish)
{
	static const struct {
		int domain, type, protocol;
		const char *name;
	} kinds[] = {
		{AF_UNIX, SOCK_STREAM, 0, "UNIX"},
		{AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "netlink"},
		{AF_INET, SOCK_RAW, IPPROTO_TCP, "raw TCP"},
		{AF_INET6, SOCK_RAW, IPPROTO_UDP, "raw UDP"},
		{AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "MPTCP"},
		{AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, "MPTCP over IPv6"},
		{AF_INET, SOCK_STREAM, IPPROTO_SCTP, "SCTP"},
		{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "UDP-Lite"},
	};
	size_t i, tried = 0;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int fd = socket(kinds[i].domain, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);

		/* Not each kernel has each protocol. Those that latchd serves have MPTCP. */
		if (fd < 0 && kinds[i].protocol != IPPROTO_MPTCP)
			continue;
		cr_assert_geq(fd, 0, "%s: %s", kinds[i].name, strerror(errno));
		tried++;
		cr_expect(is_unavailable_for(fd), "%s: %s", kinds[i].name, strerror(errno));
		close(fd);
	}
	cr_expect_geq(tried, 6);
}

/* ---- the time */

static void expect_too_late(int fd)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		cr_expect_eq(set_int(fd, int_wishes[i], 0), -EISCONN);
		cr_expect_eq(set_text(fd, text_wishes[i], c.id), -EISCONN);
	}
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, &some, sizeof(some)), -EISCONN);
	expect_no_wish(fd);
}

Test(api_wish, R_2_3_17_a_wish_of_a_connection_or_a_listener_comes_too_late)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), udp = udp_pair(IPV6, IPV6);

	expect_too_late(pair.listener);
	expect_too_late(pair.client);
	expect_too_late(pair.server);
	expect_too_late(udp.client);
	cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
	expect_too_late(pair.client); /* FIN_WAIT */
	wait_for(tcp_state_of(pair.server) == TCP_CLOSE_WAIT);
	expect_too_late(pair.server);
	close_pair(&pair);
	udp_disconnect(udp.client);
	cr_expect_eq(set_int(udp.client, LATCH_OPT_REQUIRE, 1), 0);
	udp_close(&udp);
}

Test(api_wish, a_wish_during_connect_comes_too_late)
{
	int listener = bound_socket(IPV4, NULL), client, i;
	struct address there = name_of(listener, getsockname);

	/* A backlog that is full answers no SYN. */
	cr_assert_eq(listen(listener, 0), 0);
	for (i = 0; i < 3; i++) {
		client = new_socket(&there, NULL);
		cr_assert_eq(fcntl(client, F_SETFL, O_NONBLOCK), 0);
		connect(client, &there.any, there.length);
	}
	wait_for(tcp_state_of(client) == TCP_SYN_SENT);
	expect_too_late(client);
	close(listener);
	close(client);
}

/* ---- memory */

/* The largest filter that fits takes the memory. Linux 6.1 has this limit, and no setting for it in
 * a namespace. */
static void fill_options(int fd)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	struct sock_fprog program = {.filter = filter};
	size_t i;

	run_in_namespace("sysctl -w net.core.optmem_max=20480");
	for (i = 0; i < BPF_MAXINSNS; i++)
		filter[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xffff);
	for (i = BPF_MAXINSNS; i; i -= 16) {
		program.len = (unsigned short)i;
		if (!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
			return;
	}
	cr_assert_fail("no filter: %s", strerror(errno));
}

/* Fail closed: no wish is accepted, and none is half there. */
Test(api_wish, a_full_memory_for_options_is_ENOMEM)
{
	int fd = tcp_socket(IPV4);
	size_t i;

	fill_options(fd);
	for (i = 0; i < 3; i++)
		cr_expect_eq(set_text(fd, text_wishes[i], c.id), -ENOMEM, "%s", strerror(errno));
	expect_no_wish(fd);
	close(fd);
}

/* ---- options of others */

/* A list of sources as long as two pages: the kernel has its own error for it. */
Test(api_wish, a_value_of_another_level_that_is_longer_than_a_page_is_taken_as_ever)
{
	static uint8_t list[8192];
	struct ip_msfilter *filter = (struct ip_msfilter *)list;
	int fd = udp_bound(IPV4);

	filter->imsf_numsrc = (sizeof(list) - 16) / 4;
	filter->imsf_fmode = MCAST_INCLUDE;
	filter->imsf_multiaddr.s_addr = htonl(0xe8000001);
	cr_expect_eq(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, list, sizeof(list)), -1);
	cr_expect_eq(errno, ENOBUFS, "%s", strerror(errno));
	expect_no_wish(fd);
	close(fd);
}

Test(api_wish, options_of_other_levels_are_set_as_ever)
{
	int fd = tcp_socket(IPV4), on = 1, level;

	cr_expect_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_expect_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	cr_expect_eq(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	for (level = 0x4C40; level <= 0x4C42; level += 2) {
		cr_expect_eq(setsockopt(fd, level, LATCH_OPT_REQUIRE, &on, sizeof(on)), -1);
		cr_expect_eq(errno, ENOPROTOOPT);
	}
	expect_no_wish(fd);
	close(fd);
}

/* ---- a UDP socket that has received datagrams, of any host */

static void check_queued(const char *address)
{
	int fd = udp_bound(address), other = udp_bound(address);
	char byte;

	cr_assert_eq(udp_send_to(other, name_of(fd, getsockname)), 0);
	wait_for(is_readable(fd));
	cr_expect_eq(set_int(fd, LATCH_OPT_REQUIRE, 1), -EISCONN);
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), -EISCONN);
	expect_no_wish(fd);
	cr_expect_eq(set_int(fd, LATCH_OPT_PROTECTION, LATCH_PROTECTION_BYPASS), 0,
		     "it expects nothing of them");
	cr_expect_eq(set_int(fd, LATCH_OPT_PROTECTION, LATCH_PROTECTION_BY_RULE), 0);
	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_expect_eq(set_int(fd, LATCH_OPT_REQUIRE, 1), 0);
	close(fd);
	close(other);
}

Test(api_wish, a_datagram_that_came_before_the_first_wish_is_not_the_wished_peers)
{
	check_queued(IPV4);
	check_queued(IPV6);
}

/* The gate has admitted the datagram by the earlier wishes: it may be of another peer. */
static void check_queued_between_wishes(const char *address)
{
	int fd = udp_bound(address), other = udp_bound(address);
	char byte;

	cr_assert_eq(set_int(fd, LATCH_OPT_DATAGRAMS, 1), 0);
	cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, d.id), 0, "nothing has come yet");
	cr_assert_eq(udp_send_to(other, name_of(fd, getsockname)), 0);
	wait_for(is_readable(fd));
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), -EISCONN);
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_TAG, "web"), -EISCONN);
	cr_expect_eq(set_int(fd, LATCH_OPT_EXPECT_CLASS, LATCH_CLASS_PSK), -EISCONN);
	cr_expect_eq(set_wish(fd, LATCH_OPT_EXPECT_QUALITY, &some, sizeof(some)), -EISCONN);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, d.id);
	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	cr_expect_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, c.id);
	close(fd);
	close(other);
}

Test(api_wish, a_datagram_that_came_under_an_earlier_wish_is_not_the_peer_of_a_later_one)
{
	check_queued_between_wishes(IPV4);
	check_queued_between_wishes(IPV6);
}

/* recv() moves what is left to a second queue. */
Test(api_wish, a_datagram_that_waits_behind_one_that_was_read_counts_too)
{
	int fd = udp_bound(IPV4), other = udp_bound(IPV4), i;
	char byte;

	for (i = 0; i < 2; i++)
		cr_assert_eq(udp_send_to(other, name_of(fd, getsockname)), 0);
	wait_for(is_readable(fd));
	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	cr_expect_eq(set_int(fd, LATCH_OPT_REQUIRE, 1), -EISCONN);
	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	cr_expect_eq(set_int(fd, LATCH_OPT_REQUIRE, 1), 0);
	close(fd);
	close(other);
}
