/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests over a socket pair. The other end sends the answers in place of a kernel, malformed ones
 * too.
 */
#include "namespace.h"

#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"

#define SOME_TYPE      0x20
#define FIRST_SEQUENCE 1 /* each test is a process of its own */

struct peer {
	int ours, kernels;
	char answer[4096];
	size_t length;
	unsigned int handled;
	int handler_result;
};

static void start(struct peer *peer)
{
	const struct timeval limit = {.tv_usec = 1000};
	int ends[2];

	memset(peer, 0, sizeof(*peer));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	peer->ours = ends[0];
	peer->kernels = ends[1];
	cr_assert_eq(setsockopt(peer->ours, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
}

static struct nlmsghdr *add(struct peer *peer, uint16_t type, const void *payload, size_t length)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(peer->answer + peer->length);

	message->nlmsg_type = type;
	message->nlmsg_seq = FIRST_SEQUENCE;
	if (length)
		memcpy(mnl_nlmsg_put_extra_header(message, length), payload, length);
	peer->length += message->nlmsg_len;
	return message;
}

static void answer(struct peer *peer)
{
	cr_assert_eq(send(peer->kernels, peer->answer, peer->length, 0), (ssize_t)peer->length);
	peer->length = 0;
}

static int on_message(void *context, const struct nlmsghdr *message)
{
	struct peer *peer = context;

	cr_expect_eq(message->nlmsg_type, SOME_TYPE);
	peer->handled++;
	return peer->handler_result;
}

static int request(struct peer *peer)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	int err;

	message->nlmsg_type = SOME_TYPE;
	err = netlink_request(peer->ours, message, on_message, peer);
	close(peer->ours);
	close(peer->kernels);
	return err;
}

static int request_answered_with(uint16_t type, int32_t error, size_t length)
{
	char payload[sizeof(struct nlmsgerr)] = {0};
	struct peer peer;

	memcpy(payload, &error, sizeof(error));
	start(&peer);
	add(&peer, type, payload, length);
	answer(&peer);
	return request(&peer);
}

Test(netlink, an_answer_of_several_datagrams_ends_with_done)
{
	struct peer peer;
	int32_t none = 0;

	start(&peer);
	add(&peer, SOME_TYPE, NULL, 0);
	add(&peer, SOME_TYPE, "four", 4);
	answer(&peer);
	add(&peer, SOME_TYPE, NULL, 0);
	answer(&peer);
	add(&peer, NLMSG_DONE, &none, sizeof(none));
	answer(&peer);
	cr_expect_eq(request(&peer), 0);
	cr_expect_eq(peer.handled, 3);
}

Test(netlink, an_answer_to_an_earlier_request_is_refused)
{
	cr_expect_eq(request_answered_with(NLMSG_DONE, 0, sizeof(int32_t)), 0);
	cr_expect_eq(request_answered_with(NLMSG_DONE, 0, sizeof(int32_t)), -EBADMSG);
}

Test(netlink, an_acknowledgement_ends_the_answer_without_an_error)
{
	cr_expect_eq(request_answered_with(NLMSG_ERROR, 0, sizeof(struct nlmsgerr)), 0);
}

Test(netlink, an_error_of_the_kernel_is_returned)
{
	cr_expect_eq(request_answered_with(NLMSG_ERROR, -EPERM, sizeof(struct nlmsgerr)), -EPERM);
}

Test(netlink, the_error_at_the_end_of_a_dump_is_returned)
{
	cr_expect_eq(request_answered_with(NLMSG_DONE, -ENOBUFS, sizeof(int32_t)), -ENOBUFS);
}

Test(netlink, an_error_message_without_a_number_is_refused)
{
	cr_expect_eq(request_answered_with(NLMSG_ERROR, 0, 0), -EBADMSG);
}

Test(netlink, an_error_message_with_a_positive_number_is_refused)
{
	cr_expect_eq(request_answered_with(NLMSG_ERROR, EPERM, sizeof(struct nlmsgerr)), -EBADMSG);
}

Test(netlink, an_unknown_control_message_is_refused)
{
	cr_expect_eq(request_answered_with(NLMSG_OVERRUN, 0, sizeof(int32_t)), -EBADMSG);
}

Test(netlink, an_interrupted_dump_is_read_to_its_end_and_returns_eintr)
{
	const int32_t done = 0;
	struct peer peer;

	start(&peer);
	add(&peer, SOME_TYPE, NULL, 0);
	add(&peer, SOME_TYPE, NULL, 0)->nlmsg_flags |= NLM_F_DUMP_INTR;
	add(&peer, SOME_TYPE, NULL, 0);
	add(&peer, NLMSG_DONE, &done, sizeof(done));
	answer(&peer);
	cr_expect_eq(request(&peer), -EINTR);
	cr_expect_eq(peer.handled, 3);
}

Test(netlink, the_handler_may_end_the_answer)
{
	struct peer peer;

	start(&peer);
	peer.handler_result = 7;
	add(&peer, SOME_TYPE, NULL, 0);
	add(&peer, SOME_TYPE, NULL, 0);
	answer(&peer);
	cr_expect_eq(request(&peer), 7);
	cr_expect_eq(peer.handled, 1);
}

Test(netlink, a_message_longer_than_the_answer_is_refused)
{
	struct peer peer;

	start(&peer);
	add(&peer, SOME_TYPE, NULL, 0);
	add(&peer, SOME_TYPE, NULL, 0)->nlmsg_len += 4;
	answer(&peer);
	cr_expect_eq(request(&peer), -EBADMSG);
	cr_expect_eq(peer.handled, 1);
}

Test(netlink, a_message_length_above_the_largest_int_is_refused)
{
	struct peer peer;

	start(&peer);
	add(&peer, SOME_TYPE, NULL, 0)->nlmsg_len = 0xbe050260;
	peer.length = MNL_NLMSG_HDRLEN;
	answer(&peer);
	cr_expect_eq(request(&peer), -EBADMSG);
	cr_expect_eq(peer.handled, 0);
}

Test(netlink, a_message_shorter_than_its_header_is_refused)
{
	struct peer peer;

	start(&peer);
	add(&peer, SOME_TYPE, NULL, 0)->nlmsg_len = 0;
	peer.length = MNL_NLMSG_HDRLEN;
	answer(&peer);
	cr_expect_eq(request(&peer), -EBADMSG);
	cr_expect_eq(peer.handled, 0);
}

Test(netlink, an_answer_larger_than_the_buffer_is_refused)
{
	auto_free char *big = calloc(1, 65536);
	struct peer peer;

	start(&peer);
	cr_assert_eq(send(peer.kernels, big, 65536, 0), 65536);
	cr_expect_eq(request(&peer), -EMSGSIZE);
}

Test(netlink, a_request_without_an_answer_times_out)
{
	struct peer peer;

	start(&peer);
	cr_expect_eq(request(&peer), -ETIMEDOUT);
}

Test(netlink, an_answer_without_its_end_times_out)
{
	struct peer peer;

	start(&peer);
	add(&peer, SOME_TYPE, NULL, 0);
	answer(&peer);
	cr_expect_eq(request(&peer), -ETIMEDOUT);
	cr_expect_eq(peer.handled, 1);
}

/* ---- the real kernel ---- */

Test(netlink, a_message_of_another_process_is_not_received, .init = namespace_need_root)
{
	struct sockaddr_nl ours;
	socklen_t length = sizeof(ours);
	struct nlmsghdr forged = {.nlmsg_len = sizeof(forged), .nlmsg_type = SOME_TYPE};
	struct namespace ns;
	int fd, forger;

	namespace_start(&ns);
	fd = netlink_open(ns.cookie, NETLINK_SOCK_DIAG);
	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&ours, &length), 0);
	cr_assert_neq(ours.nl_pid, 0);
	forger = netns_socket(ns.fd, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	cr_assert_geq(forger, 0);
	cr_expect_eq(sendto(forger, &forged, sizeof(forged), 0, (struct sockaddr *)&ours, length),
		     -1);
	cr_expect_eq(errno, ECONNREFUSED);
	close(forger);
	close(fd);
	namespace_end(&ns);
}

static int count_links(void *context, const struct nlmsghdr *message)
{
	cr_expect_eq(message->nlmsg_type, RTM_NEWLINK);
	(*(unsigned int *)context)++;
	return 0;
}

static void set_loopback(const struct namespace *ns, short flags)
{
	struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = flags};
	int fd = netns_socket(ns->fd, AF_INET, SOCK_DGRAM, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0, "%s", strerror(errno));
	close(fd);
}

Test(netlink, a_real_kernel_reports_links_to_a_socket_of_the_group, .init = namespace_need_root)
{
	struct namespace ns;
	char report[4096];
	int fd;

	namespace_start(&ns);
	fd = netlink_open_group(ns.cookie, NETLINK_ROUTE, RTNLGRP_LINK);
	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	cr_expect_lt(recv(fd, report, sizeof(report), MSG_DONTWAIT), 0);
	set_loopback(&ns, IFF_UP);
	cr_expect_gt(recv(fd, report, sizeof(report), 0), 0);
	cr_expect_eq(((struct nlmsghdr *)report)->nlmsg_type, RTM_NEWLINK);
	close(fd);
	namespace_end(&ns);
}

Test(netlink, a_real_kernel_answers_with_a_dump_and_with_an_error, .init = namespace_need_root)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	unsigned int links = 0;
	struct namespace ns;
	struct ifinfomsg *link;
	int fd;

	namespace_start(&ns);
	fd = netlink_open(ns.cookie, NETLINK_ROUTE);
	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_DUMP;
	link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
	cr_expect_eq(netlink_request(fd, message, count_links, &links), 0);
	cr_expect_geq(links, 1);
	message->nlmsg_flags = 0;
	link->ifi_index = 4711;
	cr_expect_eq(netlink_request(fd, message, count_links, &links), -ENODEV);
	close(fd);
	namespace_end(&ns);
}
