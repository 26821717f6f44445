/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/socket_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"
#include "latchd/net/netns.h"

struct search {
	const struct latch_flow *flow;
	uint64_t cookie;	     /* 0 = any socket with the flow */
	struct inet_diag_msg socket; /* the socket with the flow, if found */
	bool found;
};

static struct inet_diag_sockid flow_id(const struct latch_flow *flow)
{
	struct inet_diag_sockid id = {
		.idiag_sport = htons(flow->local_port),
		.idiag_dport = htons(flow->remote_port),
		.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};

	memcpy(id.idiag_src, flow->local_addr, sizeof(id.idiag_src));
	memcpy(id.idiag_dst, flow->remote_addr, sizeof(id.idiag_dst));
	return id;
}

/* ---- matching a socket ---- */

/* An IPv6 socket has the addresses of an IPv4 flow in IPv4-mapped form. */
static bool same_address(const struct latch_flow *flow, const __u8 address[16],
			 const struct inet_diag_msg *socket, const __be32 shown[4])
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (flow->family == socket->idiag_family)
		return !memcmp(address, shown, flow->family == AF_INET ? 4 : 16);
	return flow->family == AF_INET && socket->idiag_family == AF_INET6 &&
	       !memcmp(shown, mapped, sizeof(mapped)) && !memcmp(address, &shown[3], 4);
}

/* The kernel's lookup may return a listener instead, and a dump selects by ports only. */
static bool has_flow(const struct inet_diag_msg *socket, const struct latch_flow *flow)
{
	return socket->id.idiag_sport == htons(flow->local_port) &&
	       socket->id.idiag_dport == htons(flow->remote_port) &&
	       socket->idiag_state != TCP_LISTEN && socket->idiag_state != TCP_CLOSE &&
	       same_address(flow, flow->local_addr, socket, socket->id.idiag_src) &&
	       same_address(flow, flow->remote_addr, socket, socket->id.idiag_dst);
}

static bool has_cookie(const struct inet_diag_msg *socket, uint64_t cookie)
{
	uint64_t shown = (uint64_t)socket->id.idiag_cookie[1] << 32 | socket->id.idiag_cookie[0];

	return !cookie || shown == cookie;
}

static int on_socket(void *context, const struct nlmsghdr *message)
{
	struct search *search = context;
	struct inet_diag_msg socket;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(socket))
		return -EBADMSG;
	memcpy(&socket, mnl_nlmsg_get_payload(message), sizeof(socket));
	if (has_flow(&socket, search->flow) && has_cookie(&socket, search->cookie)) {
		search->socket = socket;
		search->found = true;
	}
	return 0;
}

/* ---- requests ---- */

static int ask_for(int fd, uint16_t type, uint16_t flags, const struct inet_diag_req_v2 *question,
		   netlink_message_fn handler, void *context)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(*question))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = flags;
	memcpy(mnl_nlmsg_put_extra_header(request, sizeof(*question)), question, sizeof(*question));
	return netlink_request(fd, request, handler, context);
}

static int ask(int fd, uint16_t type, uint16_t flags, const struct inet_diag_req_v2 *question,
	       struct search *search)
{
	return ask_for(fd, type, flags, question, on_socket, search);
}

/*
 * A kernel without tcp_diag or udp_diag answers every request with ENOENT, even a dump that selects
 * no socket.
 */
static int not_found(int fd, __u8 protocol)
{
	const struct inet_diag_req_v2 nothing = {
		.sdiag_family = AF_INET,
		.sdiag_protocol = protocol,
	};
	struct search search = {.flow = &(const struct latch_flow){0}};
	int err = ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &nothing, &search);

	if (err == -ENOENT)
		return -EPROTONOSUPPORT;
	return err ? err : -ENOENT;
}

/*
 * For a lookup udp_diag takes the id as the addresses of a packet to the socket. For SOCK_DESTROY
 * it takes the id as TCP does.
 */
static struct inet_diag_sockid lookup_id(const struct latch_flow *flow)
{
	struct inet_diag_sockid id = flow_id(flow), swapped = id;

	if (flow->protocol != IPPROTO_UDP)
		return id;
	swapped.idiag_sport = id.idiag_dport;
	swapped.idiag_dport = id.idiag_sport;
	memcpy(swapped.idiag_src, id.idiag_dst, sizeof(id.idiag_dst));
	memcpy(swapped.idiag_dst, id.idiag_src, sizeof(id.idiag_src));
	return swapped;
}

static int find_exactly(int fd, struct search *search)
{
	const struct inet_diag_req_v2 question = {
		.sdiag_family = search->flow->family,
		.sdiag_protocol = search->flow->protocol,
		.id = lookup_id(search->flow),
	};
	int err = ask(fd, SOCK_DIAG_BY_FAMILY, 0, &question, search);

	if (err == -ENOENT || (!err && !search->found))
		err = not_found(fd, search->flow->protocol);
	return err;
}

/* The exact lookup does not find sockets that are bound to a device. */
static int find_in_dump(int fd, __u8 family, struct search *search)
{
	const struct inet_diag_req_v2 question = {
		.sdiag_family = family,
		.sdiag_protocol = search->flow->protocol,
		.idiag_states = ~0u,
		.id = {.idiag_sport = htons(search->flow->local_port),
		       .idiag_dport = htons(search->flow->remote_port)},
	};
	int err = ask(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &question, search);

	if (err)
		return err;
	return search->found ? 0 : -ENOENT;
}

static int find_anywhere(int fd, struct search *search)
{
	int err = find_exactly(fd, search);

	if (err == -ENOENT)
		err = find_in_dump(fd, search->flow->family, search);
	if (err == -ENOENT && search->flow->family == AF_INET)
		err = find_in_dump(fd, AF_INET6, search);
	return err;
}

/* With the cookie: after the end of the socket the lookup would find a listener of its port. */
static int destroy_found(int fd, struct search *search)
{
	struct inet_diag_req_v2 question = {
		.sdiag_family = search->flow->family,
		.sdiag_protocol = search->flow->protocol,
		.id = flow_id(search->flow),
	};

	question.id.idiag_if = search->socket.id.idiag_if;
	memcpy(question.id.idiag_cookie, search->socket.id.idiag_cookie,
	       sizeof(question.id.idiag_cookie));
	return ask(fd, SOCK_DESTROY, 0, &question, search);
}

static int open_for(const struct latch_flow *flow)
{
	if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
		return -EPROTONOSUPPORT;
	if (flow->family != AF_INET && flow->family != AF_INET6)
		return -EAFNOSUPPORT;
	return netlink_open(flow->netns, NETLINK_SOCK_DIAG);
}

static bool is_connecting(const struct inet_diag_msg *socket)
{
	return socket->idiag_state == TCP_SYN_SENT || socket->idiag_state == TCP_SYN_RECV;
}

typedef int (*find_fn)(int fd, struct search *search);

static int destroy(const struct latch_flow *flow, uint64_t cookie, bool connecting, find_fn find)
{
	auto_close int fd = open_for(flow);
	struct search search = {.flow = flow, .cookie = cookie};
	int err = fd < 0 ? fd : find(fd, &search);

	if (err)
		return err;
	if (connecting && !is_connecting(&search.socket))
		return -EISCONN;
	return destroy_found(fd, &search);
}

int socket_diag_destroy_owner(const struct latch_flow *flow, uint64_t cookie)
{
	return destroy(flow, cookie, false, find_anywhere);
}

int socket_diag_destroy_connecting(const struct latch_flow *flow, uint64_t cookie)
{
	return destroy(flow, cookie, true, find_anywhere);
}

int socket_diag_destroy_found(const struct latch_flow *flow, uint64_t cookie, bool connecting)
{
	return destroy(flow, cookie, connecting, find_exactly);
}

int socket_diag_find(const struct latch_flow *flow)
{
	return socket_diag_find_owner(flow, 0);
}

int socket_diag_find_owner(const struct latch_flow *flow, uint64_t cookie)
{
	auto_close int fd = open_for(flow);
	struct search search = {.flow = flow, .cookie = cookie};

	return fd < 0 ? fd : find_exactly(fd, &search);
}

int socket_diag_find_connecting(const struct latch_flow *flow)
{
	auto_close int fd = open_for(flow);
	struct search search = {.flow = flow};
	int err = fd < 0 ? fd : find_exactly(fd, &search);

	return err || is_connecting(&search.socket) ? err : -EISCONN;
}

int socket_diag_search(const struct latch_flow *flow, uint64_t cookie)
{
	auto_close int fd = open_for(flow);
	struct search search = {.flow = flow, .cookie = cookie};

	return fd < 0 ? fd : find_anywhere(fd, &search);
}

/* ---- listeners ---- */

struct listener_dump {
	socket_diag_visit_fn visit;
	void *context;
	uint64_t netns;
};

/* The flow as the BPF programs write it: a listener at an IPv4-mapped address receives IPv4
 * only. */
static void put_listening(struct latch_flow *flow, const struct inet_diag_msg *socket)
{
	const struct in6_addr *address = (const struct in6_addr *)socket->id.idiag_src;
	bool mapped = socket->idiag_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(address);

	flow->local_port = ntohs(socket->id.idiag_sport);
	flow->protocol = IPPROTO_TCP;
	flow->family = mapped ? AF_INET : socket->idiag_family;
	memcpy(flow->local_addr, &socket->id.idiag_src[mapped ? 3 : 0],
	       flow->family == AF_INET ? 4 : 16);
}

static int on_listener(void *context, const struct nlmsghdr *message)
{
	const struct listener_dump *dump = context;
	struct latch_flow flow = {.netns = dump->netns};
	struct inet_diag_msg socket;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(socket))
		return -EBADMSG;
	memcpy(&socket, mnl_nlmsg_get_payload(message), sizeof(socket));
	if (socket.idiag_state != TCP_LISTEN)
		return 0;
	put_listening(&flow, &socket);
	return dump->visit(dump->context, &flow);
}

static int dump_listeners(const struct listener_dump *dump, __u8 family)
{
	const struct inet_diag_req_v2 question = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1u << TCP_LISTEN,
	};
	auto_close int fd = netlink_open(dump->netns, NETLINK_SOCK_DIAG);

	return fd < 0 ? fd
		      : ask_for(fd, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &question, on_listener,
				(void *)dump);
}

int socket_diag_listeners(uint64_t netns, socket_diag_visit_fn visit, void *context)
{
	const struct listener_dump dump = {visit, context, netns};
	int err = dump_listeners(&dump, AF_INET);

	return err ? err : dump_listeners(&dump, AF_INET6);
}

/* ---- modules ---- */

int socket_diag_prepare(void)
{
	struct latch_flow nothing = {.family = AF_INET, .protocol = IPPROTO_TCP};
	uint64_t netns = 0;
	int err = netns_own(&netns);

	nothing.netns = netns;
	if (!err)
		err = socket_diag_find(&nothing);
	nothing.protocol = IPPROTO_UDP;
	if (err == -ENOENT)
		err = socket_diag_find(&nothing);
	return err == -ENOENT ? 0 : err;
}
