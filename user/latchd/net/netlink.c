/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/cleanup.h"
#include "latchd/net/netns.h"

/* The kernel answers within send(). The limit is for an answer that it had no memory for. */
#define NETLINK_LIMIT_S 5

#define NETLINK_ANSWER_MAX 32768 /* bytes: the largest datagram of a dump */

static int receive_from_kernel_only(int fd)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct timeval limit = {.tv_sec = NETLINK_LIMIT_S};

	if (connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
		return -errno;
	return 0;
}

int netlink_open(uint64_t netns_cookie, int protocol)
{
	auto_close int netns = netns_open(netns_cookie);
	auto_close int fd = -1;
	int err;

	if (netns < 0)
		return netns;
	fd = netns_socket(netns, AF_NETLINK, SOCK_RAW, protocol);
	if (fd < 0)
		return fd;
	err = receive_from_kernel_only(fd);
	return err ? err : take_fd(&fd);
}

int netlink_open_group(uint64_t netns_cookie, int protocol, unsigned int group)
{
	auto_close int fd = netlink_open(netns_cookie, protocol);

	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
		return -errno;
	return take_fd(&fd);
}

/* ---- one answer ---- */

struct answer {
	uint32_t sequence;
	netlink_message_fn handler;
	void *context;
	bool interrupted; /* the rest of the answer is taken, too */
	bool ended;
};

/* An acknowledgement (0), an error, or the end of a dump with the error that ended it. */
static int closing_error(const struct nlmsghdr *message)
{
	int32_t error;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(error))
		return -EBADMSG;
	memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
	return error > 0 ? -EBADMSG : error;
}

static int take_message(struct answer *answer, const struct nlmsghdr *message)
{
	if (message->nlmsg_seq != answer->sequence)
		return -EBADMSG;
	answer->interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	answer->ended = message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE;
	if (answer->ended)
		return closing_error(message);
	if (message->nlmsg_type < NLMSG_MIN_TYPE)
		return -EBADMSG;
	return answer->handler(answer->context, message);
}

/* libmnl compares the length as a signed number, so that 2^31 and above would pass. */
static bool is_whole(const struct nlmsghdr *message, int length)
{
	return mnl_nlmsg_ok(message, length) && message->nlmsg_len <= (uint32_t)length;
}

static int take_messages(struct answer *answer, const void *buffer, int length)
{
	const struct nlmsghdr *message;
	int err = 0;

	for (message = buffer; !err && !answer->ended && is_whole(message, length);
	     message = mnl_nlmsg_next(message, &length))
		err = take_message(answer, message);
	/* A whole answer leaves no bytes that are too few for another header. */
	return !err && !answer->ended && length > 0 ? -EBADMSG : err;
}

static int receive(int fd, void *buffer, size_t size)
{
	ssize_t length;

	do
		length = recv(fd, buffer, size, MSG_TRUNC);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)length > size ? -EMSGSIZE : (int)length;
}

static int take_answer(int fd, struct answer *answer)
{
	auto_free char *buffer = malloc(NETLINK_ANSWER_MAX);
	int err = buffer ? 0 : -ENOMEM;

	while (!err && !answer->ended) {
		err = receive(fd, buffer, NETLINK_ANSWER_MAX);
		if (err > 0)
			err = take_messages(answer, buffer, err);
		else if (!err)
			err = -EBADMSG;
	}
	/* A dump of SAs contains their keys. */
	if (buffer)
		explicit_bzero(buffer, NETLINK_ANSWER_MAX);
	return !err && answer->interrupted ? -EINTR : err;
}

int netlink_request(int fd, struct nlmsghdr *request, netlink_message_fn handler, void *context)
{
	static uint32_t sequence;
	struct answer answer = {.sequence = ++sequence, .handler = handler, .context = context};

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	request->nlmsg_seq = answer.sequence;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	return take_answer(fd, &answer);
}

/* libmnl's own loop rounds the length of the message up, and so could read beyond its end. */
int netlink_attributes(const struct nlmsghdr *message, size_t header,
		       const struct nlattr *ret_by_type[], uint16_t last)
{
	const char *end = (const char *)message + message->nlmsg_len;
	const struct nlattr *attribute;

	memset(ret_by_type, 0, (last + 1u) * sizeof(ret_by_type[0]));
	for (attribute = mnl_nlmsg_get_payload_offset(message, header);
	     mnl_attr_ok(attribute, (int)(end - (const char *)attribute));
	     attribute = mnl_attr_next(attribute))
		if (mnl_attr_get_type(attribute) <= last)
			ret_by_type[mnl_attr_get_type(attribute)] = attribute;
	return (const char *)attribute < end ? -EBADMSG : 0;
}
