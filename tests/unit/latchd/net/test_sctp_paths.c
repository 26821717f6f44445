/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of sctp_diag, written by the test, against lists of paths. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "latchd/net/sctp_paths.h"

#define LOCAL_PORT  6002
#define REMOTE_PORT 7002

static _Alignas(struct nlmsghdr) char buffer[4096];

static struct nlmsghdr *message(uint16_t local_port, uint16_t remote_port)
{
	struct inet_diag_msg socket = {
		.idiag_family = AF_INET6, /* of the socket: the addresses have their own */
		.id.idiag_sport = htons(local_port),
		.id.idiag_dport = htons(remote_port),
	};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	memcpy(mnl_nlmsg_put_extra_header(header, sizeof(socket)), &socket, sizeof(socket));
	return header;
}

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage storage = {0};

	storage.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (storage.ss_family == AF_INET)
		inet_pton(AF_INET, text, &((struct sockaddr_in *)&storage)->sin_addr);
	else
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&storage)->sin6_addr);
	return storage;
}

static void put_addresses(struct nlmsghdr *header, uint16_t type, const char *one,
			  const char *other)
{
	const struct sockaddr_storage both[2] = {address(one), address(other)};

	mnl_attr_put(header, type, sizeof(both), both);
}

static struct nlmsghdr *two_by_two(void)
{
	struct nlmsghdr *header = message(LOCAL_PORT, REMOTE_PORT);

	put_addresses(header, INET_DIAG_LOCALS, "10.9.0.1", "2001:db8::1");
	mnl_attr_put_u32(header, INET_DIAG_MARK, 9);
	put_addresses(header, INET_DIAG_PEERS, "10.9.0.2", "2001:db8::2");
	return header;
}

static struct sctp_path path(const char *local, const char *remote)
{
	struct sctp_path made = {.flow = {
					 .local_port = LOCAL_PORT,
					 .remote_port = REMOTE_PORT,
					 .family = strchr(local, ':') ? AF_INET6 : AF_INET,
					 .protocol = IPPROTO_SCTP,
				 }};

	inet_pton(made.flow.family, local, made.flow.local_addr);
	inet_pton(made.flow.family, remote, made.flow.remote_addr);
	return made;
}

Test(sctp_paths, the_paths_of_both_families_of_an_association_are_alive)
{
	struct sctp_path paths[] = {
		path("10.9.0.1", "10.9.0.2"), path("2001:db8::1", "2001:db8::2"),
		path("10.9.0.1", "10.9.0.3"), path("10.9.0.3", "10.9.0.2"),
		path("10.9.0.2", "10.9.0.1"), path("2001:db8::1", "2001:db8::3"),
	};
	size_t i;

	cr_assert_eq(sctp_paths_mark(two_by_two(), paths, 6), 0);
	for (i = 0; i < 6; i++)
		cr_expect_eq(paths[i].alive, i < 2, "%zu", i);
}

Test(sctp_paths, only_paths_with_the_ports_of_the_association_are_alive)
{
	struct sctp_path paths[8];
	size_t i;

	for (i = 0; i < 8; i++) {
		paths[i] = path("10.9.0.1", "10.9.0.2");
		paths[i].flow.local_port = (uint16_t)(LOCAL_PORT + 1 - i / 3);
		paths[i].flow.remote_port = (uint16_t)(REMOTE_PORT + 1 - i % 3);
	}
	sctp_paths_sort(paths, 8);
	cr_assert_eq(sctp_paths_mark(two_by_two(), paths, 8), 0);
	for (i = 0; i < 8; i++)
		cr_expect_eq(paths[i].alive, paths[i].flow.local_port == LOCAL_PORT &&
						     paths[i].flow.remote_port == REMOTE_PORT);
}

Test(sctp_paths, every_path_with_the_same_ports_is_checked)
{
	struct sctp_path paths[] = {
		path("10.9.0.1", "10.9.0.9"),
		path("10.9.0.1", "10.9.0.2"),
		path("10.9.0.9", "10.9.0.2"),
		path("2001:db8::1", "2001:db8::2"),
	};

	sctp_paths_sort(paths, 4);
	cr_assert_eq(sctp_paths_mark(two_by_two(), paths, 4), 0);
	cr_expect_eq(paths[0].alive + paths[1].alive + paths[2].alive + paths[3].alive, 2);
}

Test(sctp_paths, paths_are_sorted_by_namespace_then_by_ports)
{
	struct sctp_path paths[] = {
		path("10.9.0.1", "10.9.0.2"),
		path("10.9.0.1", "10.9.0.2"),
		path("10.9.0.1", "10.9.0.2"),
	};

	paths[0].flow.netns = 2;
	paths[1].flow.netns = 1;
	paths[2].flow.netns = 2;
	paths[2].flow.local_port = 1;
	sctp_paths_sort(paths, 3);
	cr_expect_eq(paths[0].flow.netns, 1);
	cr_expect_eq(paths[1].flow.local_port, 1);
	cr_expect_eq(paths[2].flow.local_port, LOCAL_PORT);
}

/* An endpoint without an association has no addresses. A kernel may send one of the two lists. */
Test(sctp_paths, no_path_is_alive_without_addresses_of_both_ends)
{
	struct sctp_path one = path("10.9.0.1", "10.9.0.2");
	struct nlmsghdr *header = message(LOCAL_PORT, REMOTE_PORT);

	cr_expect_eq(sctp_paths_mark(header, &one, 1), 0);
	put_addresses(header, INET_DIAG_LOCALS, "10.9.0.1", "10.9.0.1");
	cr_expect_eq(sctp_paths_mark(header, &one, 1), 0);
	cr_expect_not(one.alive);
}

Test(sctp_paths, a_malformed_message_is_refused)
{
	const struct sockaddr_storage none = {0};
	struct sctp_path one = path("10.9.0.1", "10.9.0.2");
	struct nlmsghdr *header = two_by_two();

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY + 1;
	cr_expect_eq(sctp_paths_mark(header, &one, 1), -EBADMSG);
	header = mnl_nlmsg_put_header(buffer);
	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	cr_expect_eq(sctp_paths_mark(header, &one, 1), -EBADMSG);
	header = message(LOCAL_PORT, REMOTE_PORT);
	mnl_attr_put(header, INET_DIAG_LOCALS, sizeof(none) - 1, &none);
	cr_expect_eq(sctp_paths_mark(header, &one, 1), -EBADMSG);
	cr_expect_not(one.alive);
}

/* The last list begins before the end of the message and ends behind it. */
Test(sctp_paths, a_list_beyond_the_end_of_the_message_is_refused)
{
	struct sctp_path one = path("10.9.0.1", "10.9.0.2");
	struct nlmsghdr *header = two_by_two();
	unsigned int cut;

	for (cut = 1; cut < 4; cut++) {
		header->nlmsg_len--;
		cr_expect_eq(sctp_paths_mark(header, &one, 1), -EBADMSG, "%u bytes cut", cut);
	}
	cr_expect_not(one.alive);
}
