/* SPDX-License-Identifier: BSD-2-Clause */
/* Options of other levels, which pass the program: they answer as without latchd. */
#include "api_fixture.h"

#include <linux/netlink.h>

TestSuite(api_levels, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

#define GUARD 0x5a

Test(api_levels, other_levels_answer_as_ever)
{
	static uint8_t buffer[24576];
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct tcp_info *info = (struct tcp_info *)buffer;
	socklen_t length = sizeof(int);
	int type = 0, level;

	cr_expect_eq(getsockopt(pair.client, SOL_SOCKET, SO_TYPE, &type, &length), 0);
	cr_expect_eq(type, SOCK_STREAM);
	/* Linux 6.1 fails a buffer of more than a page, unless the program prevents it. */
	length = sizeof(buffer);
	cr_expect_eq(getsockopt(pair.client, IPPROTO_TCP, TCP_INFO, buffer, &length), 0);
	cr_expect_eq(info->tcpi_state, TCP_ESTABLISHED);
	for (level = 0x4C40; level <= 0x4C42; level += 2) {
		length = 64;
		cr_expect_eq(getsockopt(pair.client, level, LATCH_OPT_STATE, buffer, &length), -1);
		cr_expect(errno == EOPNOTSUPP || errno == ENOPROTOOPT);
	}
	close_pair(&pair);
}

static void attach_filter(int fd, uint64_t *code, unsigned short length)
{
	struct {
		unsigned short length;
		uint64_t *code;
	} filter = {length, code};
	unsigned short i;

	for (i = 0; i < length; i++)
		code[i] = 0x06 | (uint64_t)0xffff << 32; /* ret 0xffff */
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0, "%s",
		     strerror(errno));
}

Test(api_levels, an_answer_of_another_level_that_is_longer_than_a_page_is_whole)
{
	static uint64_t code[1024], read[1024];
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	socklen_t length = sizeof(read) / 8;

	attach_filter(pair.client, code, 1024);
	cr_expect_eq(getsockopt(pair.client, SOL_SOCKET, SO_GET_FILTER, read, &length), 0, "%s",
		     strerror(errno));
	cr_expect_eq(length, 1024);
	cr_expect_arr_eq(read, code, sizeof(read));
	close_pair(&pair);
}

/* A bitmap of all groups of rtnetlink has two words. */
Test(api_levels, a_length_beyond_the_buffer_is_answered_as_ever)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), any = 2;
	uint32_t groups[2] = {GUARD, GUARD};
	socklen_t length = sizeof(groups[0]);

	cr_assert_geq(fd, 0);
	cr_assert_eq(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &any, sizeof(any)), 0,
		     "%s", strerror(errno));
	cr_expect_eq(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &length), 0,
		     "%s", strerror(errno));
	cr_expect_gt(length, sizeof(groups[0]));
	cr_expect_eq(groups[0], 1U << (any - 1));
	cr_expect_eq(groups[1], GUARD);
	close(fd);
}

Test(api_levels, the_length_of_a_filter_is_answered_without_a_buffer)
{
	uint64_t code, read = GUARD;
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	socklen_t length = 0;

	attach_filter(pair.client, &code, 1);
	cr_expect_eq(getsockopt(pair.client, SOL_SOCKET, SO_GET_FILTER, &read, &length), 0, "%s",
		     strerror(errno));
	cr_expect_eq(length, 1);
	cr_expect_eq(read, GUARD);
	close_pair(&pair);
}
