/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/sctp_paths.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"

/* ---- order ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static uint64_t ports_of(const struct sctp_path *path)
{
	return (uint64_t)path->flow.local_port << 16 | path->flow.remote_port;
}

static int compare_paths(const void *a, const void *b)
{
	const struct sctp_path *one = a, *other = b;
	int order = compare_numbers(one->flow.netns, other->flow.netns);

	return order ? order : compare_numbers(ports_of(one), ports_of(other));
}

void sctp_paths_sort(struct sctp_path *paths, size_t count)
{
	if (count)
		qsort(paths, count, sizeof(*paths), compare_paths);
}

static size_t find_first(const struct sctp_path *paths, size_t count, uint64_t ports)
{
	size_t low = 0, middle;

	while (low < count) {
		middle = low + (count - low) / 2;
		if (ports_of(&paths[middle]) < ports)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

/* ---- one association ---- */

struct addresses {
	const unsigned char *first; /* an array of struct sockaddr_storage, not aligned */
	size_t count;
};

static bool is_address(const struct sockaddr_storage *shown, const struct latch_flow *flow,
		       const __u8 address[16])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)shown;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)shown;

	if (shown->ss_family != flow->family)
		return false;
	return flow->family == AF_INET ? !memcmp(&v4->sin_addr, address, 4)
				       : !memcmp(&v6->sin6_addr, address, 16);
}

static bool has_address(const struct addresses *addresses, const struct latch_flow *flow,
			const __u8 address[16])
{
	struct sockaddr_storage shown;
	size_t i;

	for (i = 0; i < addresses->count; i++) {
		memcpy(&shown, addresses->first + i * sizeof(shown), sizeof(shown));
		if (is_address(&shown, flow, address))
			return true;
	}
	return false;
}

static int read_addresses(const struct nlattr *attribute, struct addresses *ret)
{
	*ret = (struct addresses){0};
	if (!attribute)
		return 0;
	ret->first = mnl_attr_get_payload(attribute);
	ret->count = mnl_attr_get_payload_len(attribute) / sizeof(struct sockaddr_storage);
	return mnl_attr_get_payload_len(attribute) % sizeof(struct sockaddr_storage) ? -EBADMSG : 0;
}

int sctp_paths_mark(const struct nlmsghdr *message, struct sctp_path *paths, size_t count)
{
	const struct nlattr *by_type[INET_DIAG_PEERS + 1];
	struct addresses local, peer;
	struct inet_diag_msg socket;
	uint64_t ports;
	size_t i;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(socket))
		return -EBADMSG;
	memcpy(&socket, mnl_nlmsg_get_payload(message), sizeof(socket));
	if (netlink_attributes(message, sizeof(socket), by_type, INET_DIAG_PEERS) ||
	    read_addresses(by_type[INET_DIAG_LOCALS], &local) ||
	    read_addresses(by_type[INET_DIAG_PEERS], &peer))
		return -EBADMSG;
	ports = (uint64_t)ntohs(socket.id.idiag_sport) << 16 | ntohs(socket.id.idiag_dport);
	for (i = find_first(paths, count, ports); i < count && ports_of(&paths[i]) == ports; i++)
		if (has_address(&local, &paths[i].flow, paths[i].flow.local_addr) &&
		    has_address(&peer, &paths[i].flow, paths[i].flow.remote_addr))
			paths[i].alive = true;
	return 0;
}

/* ---- all associations of a namespace ---- */

struct marking {
	struct sctp_path *paths;
	size_t count;
};

static int on_message(void *context, const struct nlmsghdr *message)
{
	const struct marking *marking = context;

	return sctp_paths_mark(message, marking->paths, marking->count);
}

static int ask(int fd, uint16_t flags, const struct inet_diag_req_v2 *question,
	       struct marking *marking)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(*question))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = flags;
	memcpy(mnl_nlmsg_put_extra_header(request, sizeof(*question)), question, sizeof(*question));
	return netlink_request(fd, request, on_message, marking);
}

/* The family is the socket's. An association of an IPv6 socket may have IPv4 paths. */
static int ask_family(int fd, uint8_t family, struct marking *marking)
{
	const struct inet_diag_req_v2 question = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_SCTP,
		.idiag_states = ~0u,
	};

	return ask(fd, NLM_F_DUMP, &question, marking);
}

static int ask_path(int fd, struct sctp_path *path)
{
	struct inet_diag_req_v2 question = {
		.sdiag_family = path->flow.family,
		.sdiag_protocol = IPPROTO_SCTP,
		.id = {.idiag_sport = htons(path->flow.local_port),
		       .idiag_dport = htons(path->flow.remote_port),
		       .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
	};
	struct marking marking = {path, 1};
	int err;

	memcpy(question.id.idiag_src, path->flow.local_addr, sizeof(question.id.idiag_src));
	memcpy(question.id.idiag_dst, path->flow.remote_addr, sizeof(question.id.idiag_dst));
	err = ask(fd, 0, &question, &marking);
	return err == -ENOENT ? 0 : err;
}

/*
 * A dump misses associations that move in the kernel's table meanwhile. It also ends early at an
 * association with more addresses than an answer holds, and a peer can have so many. So each path
 * that the dump does not have is requested separately. Such a request does not find sockets that
 * are bound to a device.
 */
static int ask_missing(int fd, struct marking *marking)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < marking->count; i++)
		if (!marking->paths[i].alive)
			err = ask_path(fd, &marking->paths[i]);
	return err;
}

int sctp_paths_ask(uint64_t netns, struct sctp_path *paths, size_t count)
{
	struct marking marking = {paths, count};
	auto_close int fd = netlink_open(netns, NETLINK_SOCK_DIAG);
	int err;

	if (fd < 0)
		return fd;
	err = ask_family(fd, AF_INET, &marking);
	if (!err)
		err = ask_family(fd, AF_INET6, &marking);
	if (err == -ENOENT)
		return -EPROTONOSUPPORT;
	return err ? err : ask_missing(fd, &marking);
}
