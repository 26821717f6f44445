/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of the room net/: one network namespace, its sockets, and its answers over netlink. The
 * messages are real, so that latchd's parsers read them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "doors/doors.h"
#include "kernel/traffic.h"
#include "latchd/net/netlink.h"
#include "latchd/net/netns.h"
#include "latchd/net/socket_diag.h"
#include "sim.h"
#include "world.h"

#define MESSAGE_MAX 2048

/* ---- network namespaces */

int netns_own(uint64_t *ret_cookie)
{
	*ret_cookie = SIM_NETNS;
	return 0;
}

int netns_of_process(pid_t pid, uint64_t *ret_cookie)
{
	if (pid != SIM_CHARON_PID)
		return -ESRCH;
	*ret_cookie = SIM_NETNS;
	return 0;
}

int netns_of_descriptor(int netns_fd, uint64_t *ret_cookie)
{
	(void)netns_fd;
	return netns_own(ret_cookie);
}

void netns_hint(uint64_t cookie, pid_t pid)
{
	(void)cookie;
	(void)pid;
}

int netns_open(uint64_t cookie)
{
	return cookie == SIM_NETNS ? eventfd(0, EFD_CLOEXEC) : -ENOENT;
}

int netns_is_foreign(uint64_t cookie)
{
	return cookie == SIM_NETNS ? 0 : -ENOENT;
}

int netns_walk(netns_visit_fn visit, void *context)
{
	return visit(context, SIM_NETNS);
}

int netns_call(int netns_fd, int (*function)(void *context), void *context)
{
	(void)netns_fd;
	return function(context);
}

int netns_socket(int netns_fd, int domain, int type, int protocol)
{
	sim_fail("latchd opens socket %d %d %d of namespace %d", domain, type, protocol, netns_fd);
}

/* ---- sockets */

int socket_diag_prepare(void)
{
	return 0;
}

int socket_diag_destroy_owner(const struct latch_flow *flow, uint64_t cookie)
{
	sim_point("destroy");
	if (sim_call_fails("destroy"))
		return -ENOMEM;
	return world_destroy_socket(flow, cookie, false);
}

int socket_diag_destroy_connecting(const struct latch_flow *flow, uint64_t cookie)
{
	sim_point("destroy");
	if (sim_call_fails("destroy"))
		return -ENOMEM;
	return world_destroy_socket(flow, cookie, true);
}

int socket_diag_destroy_found(const struct latch_flow *flow, uint64_t cookie, bool connecting)
{
	return connecting ? socket_diag_destroy_connecting(flow, cookie)
			  : socket_diag_destroy_owner(flow, cookie);
}

int socket_diag_find_owner(const struct latch_flow *flow, uint64_t cookie)
{
	sim_point("find socket");
	return world_find_socket(flow, cookie);
}

int socket_diag_find(const struct latch_flow *flow)
{
	sim_point("find socket");
	return world_find_socket(flow, 0);
}

int socket_diag_find_connecting(const struct latch_flow *flow)
{
	return socket_diag_find(flow);
}

int socket_diag_search(const struct latch_flow *flow, uint64_t cookie)
{
	sim_point("search socket");
	return world_find_socket(flow, cookie);
}

int socket_diag_listeners(uint64_t netns, socket_diag_visit_fn visit, void *context)
{
	(void)netns;
	(void)visit;
	(void)context;
	return 0;
}

/* ---- netlink */

int __wrap_netlink_open(uint64_t netns_cookie, int protocol);
int __wrap_netlink_request(int fd, struct nlmsghdr *request, netlink_message_fn handler,
			   void *context);

int __wrap_netlink_open(uint64_t netns_cookie, int protocol)
{
	(void)protocol;
	return sim_call_fails("netlink") ? -ENOMEM : netns_open(netns_cookie);
}

static struct nlmsghdr *message_of(void *memory, uint16_t type)
{
	struct nlmsghdr *message;

	memset(memory, 0, MESSAGE_MAX);
	message = mnl_nlmsg_put_header(memory);
	message->nlmsg_type = type;
	return message;
}

static int answer_default(netlink_message_fn handler, void *context)
{
	_Alignas(struct nlmsghdr) char memory[MESSAGE_MAX];
	struct nlmsghdr *message = message_of(memory, XFRM_MSG_GETDEFAULT);

	mnl_nlmsg_put_extra_header(message, sizeof(struct xfrm_userpolicy_default));
	return handler(context, message);
}

static void put_sa(struct nlmsghdr *message, const struct traffic_sa *sa)
{
	struct xfrm_usersa_info *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	struct xfrm_algo_aead aead = {.alg_key_len = 288, .alg_icv_len = 128};

	memcpy(&info->id.daddr.a4, sa->key.daddr, 4);
	memcpy(&info->saddr.a4, sa->source, 4);
	info->id.spi = htonl(sa->key.spi);
	info->id.proto = sa->key.protocol;
	info->family = sa->key.family;
	info->mode = XFRM_MODE_TRANSPORT;
	info->reqid = sa->reqid;
	info->replay_window = sa->inbound ? 32 : 0;
	strcpy(aead.alg_name, sa->cipher);
	mnl_attr_put(message, XFRMA_ALG_AEAD, sizeof(aead), &aead);
}

/* The SAs may change while they are dumped. */
static int answer_sas(netlink_message_fn handler, void *context)
{
	_Alignas(struct nlmsghdr) char memory[MESSAGE_MAX];
	struct nlmsghdr *message;
	int err = 0, at;

	for (at = 0; !err && at < TRAFFIC_SAS; at++) {
		const struct traffic_sa *sa = traffic_sa(at);

		if (!sa)
			continue;
		message = message_of(memory, XFRM_MSG_NEWSA);
		put_sa(message, sa);
		err = handler(context, message);
		sim_point("SA dump");
	}
	return err;
}

static int answer_policy(uint8_t direction, netlink_message_fn handler, void *context)
{
	_Alignas(struct nlmsghdr) char memory[MESSAGE_MAX];
	struct nlmsghdr *message = message_of(memory, XFRM_MSG_NEWPOLICY);
	struct xfrm_userpolicy_info *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	struct xfrm_user_tmpl template = {
		.family = AF_INET,
		.id.proto = IPPROTO_ESP,
		.mode = XFRM_MODE_TRANSPORT,
	};

	info->sel.family = AF_INET;
	info->sel.saddr.a4 = info->sel.daddr.a4 = htonl(0x0a090000);
	info->sel.prefixlen_s = info->sel.prefixlen_d = 24;
	info->dir = direction;
	info->index = (__u32)direction + 8;
	info->priority = 100;
	info->action = XFRM_POLICY_ALLOW;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	mnl_attr_put(message, XFRMA_TMPL, sizeof(template), &template);
	return handler(context, message);
}

static int answer_policies(netlink_message_fn handler, void *context)
{
	int err = 0;

	if (world_has_policies())
		err = answer_policy(XFRM_POLICY_OUT, handler, context);
	if (!err && world_has_policies())
		err = answer_policy(XFRM_POLICY_IN, handler, context);
	return err;
}

int __wrap_netlink_request(int fd, struct nlmsghdr *request, netlink_message_fn handler,
			   void *context)
{
	(void)fd;
	sim_point("netlink");
	if (sim_call_fails("netlink"))
		return sim_chance(2) ? -EINTR : -ENOMEM;
	switch (request->nlmsg_type) {
	case XFRM_MSG_GETSA:
		return answer_sas(handler, context);
	case XFRM_MSG_GETDEFAULT:
		return answer_default(handler, context);
	case XFRM_MSG_GETPOLICY:
		return answer_policies(handler, context);
	case XFRM_MSG_SETDEFAULT:
		return 0;
	}
	sim_fail("latchd sends netlink message %u", request->nlmsg_type);
}
