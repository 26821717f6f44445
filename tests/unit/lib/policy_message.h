/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes policies as netlink messages, and edits the SPD of a namespace with them. */
#ifndef LATCHD_TESTS_POLICY_MESSAGE_H
#define LATCHD_TESTS_POLICY_MESSAGE_H

#include "namespace.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"
#include "latchd/spd/policy.h"

static _Alignas(struct nlmsghdr) char policy_buffer[4096];

static inline void policy_selector(struct xfrm_selector *selector, const struct policy *p)
{
	memcpy(&selector->saddr, p->source, 16);
	memcpy(&selector->daddr, p->destination, 16);
	selector->family = p->family;
	selector->prefixlen_s = p->source_bits;
	selector->prefixlen_d = p->destination_bits;
	selector->sport = htons(p->source_port);
	selector->sport_mask = htons(p->source_port_mask);
	selector->dport = htons(p->destination_port);
	selector->dport_mask = htons(p->destination_port_mask);
	selector->proto = p->protocol;
}

static inline void policy_templates(struct nlmsghdr *message, const struct policy *p)
{
	struct xfrm_user_tmpl templates[POLICY_TEMPLATES_MAX] = {0};
	unsigned int i;

	for (i = 0; i < p->template_count; i++) {
		templates[i].id.proto = p->templates[i].protocol;
		templates[i].mode = p->templates[i].mode;
		templates[i].optional = p->templates[i].optional;
		templates[i].family = p->family;
		templates[i].aalgos = templates[i].ealgos = templates[i].calgos = ~0u;
		/* A tunnel must have ends. */
		templates[i].saddr.a6[0] = templates[i].id.daddr.a6[0] = htonl(0x7f000001);
	}
	if (p->template_count)
		mnl_attr_put(message, XFRMA_TMPL, p->template_count * sizeof(templates[0]),
			     templates);
}

/* The same message in a dump of the kernel and in a request to the kernel. */
static inline struct nlmsghdr *policy_message(const struct policy *p)
{
	struct nlmsghdr *message;
	struct xfrm_userpolicy_info *info;

	memset(policy_buffer, 0, sizeof(policy_buffer));
	message = mnl_nlmsg_put_header(policy_buffer);
	message->nlmsg_type = XFRM_MSG_NEWPOLICY;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	policy_selector(&info->sel, p);
	info->dir = p->direction == POLICY_OUT ? XFRM_POLICY_OUT : XFRM_POLICY_IN;
	info->action = p->action == POLICY_BLOCK ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	info->priority = p->priority;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	policy_templates(message, p);
	if (p->if_id)
		mnl_attr_put_u32(message, XFRMA_IF_ID, p->if_id);
	return message;
}

static inline int policy_ignore(void *context, const struct nlmsghdr *answer)
{
	(void)context;
	(void)answer;
	return 0;
}

static inline int policy_send(const struct namespace *ns, struct nlmsghdr *message)
{
	auto_close int fd = netlink_open(ns->cookie, NETLINK_XFRM);

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	return netlink_request(fd, message, policy_ignore, NULL);
}

static inline void policy_add(const struct namespace *ns, const struct policy *p)
{
	int err = policy_send(ns, policy_message(p));

	cr_assert_eq(err, 0, "new policy: %s", strerror(-err));
}

static inline void policy_delete(const struct namespace *ns, const struct policy *p)
{
	struct nlmsghdr *message;
	struct xfrm_userpolicy_id *id;
	int err;

	memset(policy_buffer, 0, sizeof(policy_buffer));
	message = mnl_nlmsg_put_header(policy_buffer);
	message->nlmsg_type = XFRM_MSG_DELPOLICY;
	id = mnl_nlmsg_put_extra_header(message, sizeof(*id));
	policy_selector(&id->sel, p);
	id->dir = p->direction == POLICY_OUT ? XFRM_POLICY_OUT : XFRM_POLICY_IN;
	if (p->if_id)
		mnl_attr_put_u32(message, XFRMA_IF_ID, p->if_id);
	err = policy_send(ns, message);
	cr_assert_eq(err, 0, "delete policy: %s", strerror(-err));
}

static inline void policy_flush(const struct namespace *ns)
{
	struct nlmsghdr *message;
	int err;

	memset(policy_buffer, 0, sizeof(policy_buffer));
	message = mnl_nlmsg_put_header(policy_buffer);
	message->nlmsg_type = XFRM_MSG_FLUSHPOLICY;
	err = policy_send(ns, message);
	cr_assert_eq(err, 0, "flush: %s", strerror(-err));
}

static inline void policy_default(const struct namespace *ns, uint8_t in, uint8_t out)
{
	struct xfrm_userpolicy_default *defaults;
	struct nlmsghdr *message;
	int err;

	memset(policy_buffer, 0, sizeof(policy_buffer));
	message = mnl_nlmsg_put_header(policy_buffer);
	message->nlmsg_type = XFRM_MSG_SETDEFAULT;
	defaults = mnl_nlmsg_put_extra_header(message, sizeof(*defaults));
	defaults->in = in;
	defaults->out = out;
	err = policy_send(ns, message);
	cr_assert_eq(err, 0, "default action: %s", strerror(-err));
}

/* Protects 127.0.0.1 to 127.0.0.2 by ESP in transport mode. */
static inline struct policy policy_protecting(enum policy_direction direction)
{
	struct policy p = {
		.source = {127, 0, 0, 1},
		.destination = {127, 0, 0, 2},
		.source_bits = 32,
		.destination_bits = 32,
		.family = AF_INET,
		.direction = direction,
		.action = POLICY_PROTECT,
		.priority = 100,
		.template_count = 1,
		.templates = {{.protocol = IPPROTO_ESP, .mode = XFRM_MODE_TRANSPORT}},
	};

	if (direction == POLICY_IN) {
		p.source[3] = 2;
		p.destination[3] = 1;
	}
	return p;
}

/* The same addresses, TCP only, above all other policies, with another action. */
static inline struct policy policy_above(enum policy_direction direction, enum policy_action action)
{
	struct policy p = policy_protecting(direction);

	p.priority = 1;
	p.protocol = IPPROTO_TCP;
	p.action = action;
	if (action != POLICY_PROTECT)
		p.template_count = 0;
	return p;
}

#endif
