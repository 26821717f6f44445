/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice_load.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <string.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"
#include "latchd/spd/policy_dump.h"

/* ---- policies */

/* Sub-policies come before the main ones. latchd does not know how the kernel orders both. */
static int is_sub_policy(const struct nlattr *const by_type[])
{
	const struct nlattr *type = by_type[XFRMA_POLICY_TYPE];
	struct xfrm_userpolicy_type value;

	if (!type)
		return 0;
	if (mnl_attr_get_payload_len(type) < sizeof(value))
		return -EBADMSG;
	memcpy(&value, mnl_attr_get_payload(type), sizeof(value));
	return value.type != XFRM_POLICY_TYPE_MAIN;
}

int choice_load_policy(const struct nlmsghdr *message, struct choice_table *table)
{
	const struct nlattr *by_type[XFRMA_MAX + 1];
	struct xfrm_user_tmpl template = {0};
	struct choice_policy compact;
	struct policy policy;
	int found = policy_dump_parse(message, &policy), sub;

	if (found < 0)
		return found;
	sub = netlink_attributes(message, sizeof(struct xfrm_userpolicy_info), by_type, XFRMA_MAX);
	if (!sub)
		sub = is_sub_policy(by_type);
	if (sub < 0)
		return sub;
	table->unreadable = table->unreadable || sub;
	if (!found)
		return 0;
	if (policy.template_count)
		memcpy(&template, mnl_attr_get_payload(by_type[XFRMA_TMPL]), sizeof(template));
	choice_policy_of(&policy, &template, &compact);
	return choice_table_add_policy(table, &compact);
}

static int on_policy(void *context, const struct nlmsghdr *message)
{
	struct choice_table *table = context;

	return table->count < POLICY_DUMP_MAX ? choice_load_policy(message, table) : -E2BIG;
}

static int load_policies(uint64_t netns, struct choice_table *table)
{
	auto_close int fd = netlink_open(netns, NETLINK_XFRM);
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = XFRM_MSG_GETPOLICY;
	request->nlmsg_flags = NLM_F_DUMP;
	return fd < 0 ? fd : netlink_request(fd, request, on_policy, table);
}

/* ---- xfrm interfaces */

static const struct nlattr *find_nested(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		if (mnl_attr_get_type(attribute) == type)
			return attribute;
	}
	return NULL;
}

static const struct nlattr *xfrm_data(const struct nlattr *info)
{
	const struct nlattr *kind = info ? find_nested(info, IFLA_INFO_KIND) : NULL;

	if (!kind || mnl_attr_get_payload_len(kind) < sizeof("xfrm") ||
	    strcmp(mnl_attr_get_str(kind), "xfrm"))
		return NULL;
	return find_nested(info, IFLA_INFO_DATA);
}

/* Skips interfaces with SAs in another namespace. */
int choice_load_device(const struct nlmsghdr *message, struct choice_table *table)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
	const struct nlattr *by_type[IFLA_LINK_NETNSID + 1], *data, *if_id;
	int err;

	if (message->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*link))
		return -EBADMSG;
	err = netlink_attributes(message, sizeof(*link), by_type, IFLA_LINK_NETNSID);
	if (err || !(link->ifi_flags & IFF_UP) || by_type[IFLA_LINK_NETNSID])
		return err;
	data = xfrm_data(by_type[IFLA_LINKINFO]);
	if_id = data ? find_nested(data, IFLA_XFRM_IF_ID) : NULL;
	if (!if_id || mnl_attr_get_payload_len(if_id) < sizeof(uint32_t))
		return 0;
	return choice_table_add_device(table, mnl_attr_get_u32(if_id));
}

static int on_device(void *context, const struct nlmsghdr *message)
{
	return choice_load_device(message, context);
}

int choice_load_devices(uint64_t netns, struct choice_table *table)
{
	auto_close int fd = netlink_open(netns, NETLINK_ROUTE);
	_Alignas(struct nlmsghdr) char
		buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct ifinfomsg))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_DUMP;
	return fd < 0 ? fd : netlink_request(fd, request, on_device, table);
}

int choice_open_links(uint64_t netns)
{
	return netlink_open_group(netns, NETLINK_ROUTE, RTNLGRP_LINK);
}

/* ---- both */

/* Devices matter only if a policy has an interface id. */
static bool has_ids(const struct choice_table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		if (table->policies[i].if_id)
			return true;
	return false;
}

int choice_load(uint64_t netns, struct choice_table *ret)
{
	int err;

	*ret = (struct choice_table){0};
	err = load_policies(netns, ret);
	ret->has_ids = has_ids(ret);
	if (!err && ret->has_ids)
		err = choice_load_devices(netns, ret);
	if (err == -EINTR) {
		ret->interrupted = true;
		err = 0;
	}
	if (!err)
		err = choice_table_build(ret);
	if (err)
		choice_table_release(ret);
	return err;
}
