/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of policies and devices, from messages of the kernel. */
#include <criterion/criterion.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "policy_message.h"

#include "latchd/choice/choice_load.h"

static struct choice_table table;

static void finish(void)
{
	choice_table_release(&table);
}

TestSuite(choice_load, .fini = finish, .timeout = 60);

static _Alignas(struct nlmsghdr) char link_buffer[1024];

static struct nlmsghdr *link_message(const char *kind, uint32_t if_id, unsigned int flags)
{
	struct nlmsghdr *message;
	struct ifinfomsg *info;
	struct nlattr *outer, *data;

	memset(link_buffer, 0, sizeof(link_buffer));
	message = mnl_nlmsg_put_header(link_buffer);
	message->nlmsg_type = RTM_NEWLINK;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifi_flags = flags;
	outer = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, kind);
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u32(message, IFLA_XFRM_IF_ID, if_id);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, outer);
	return message;
}

Test(choice_load, devices_are_xfrm_interfaces_that_are_up)
{
	struct nlmsghdr *message = link_message("xfrm", 41, IFF_UP);

	cr_assert_eq(choice_load_device(message, &table), 0);
	cr_expect_eq(table.device_count, 1);
	cr_expect_eq(table.devices[0], 41);
	cr_assert_eq(choice_load_device(link_message("xfrm", 42, 0), &table), 0);
	cr_assert_eq(choice_load_device(link_message("veth", 43, IFF_UP), &table), 0);
	message = link_message("xfrm", 44, IFF_UP);
	mnl_attr_put_u32(message, IFLA_LINK_NETNSID, 1);
	cr_assert_eq(choice_load_device(message, &table), 0);
	cr_expect_eq(table.device_count, 1);
}

Test(choice_load, a_sub_policy_makes_the_table_unreadable)
{
	struct policy policy = {
		.family = AF_INET,
		.direction = POLICY_OUT,
		.action = POLICY_PROTECT,
		.priority = 50,
		.template_count = 1,
		.templates = {{IPPROTO_ESP, XFRM_MODE_TUNNEL, false}},
	};
	struct xfrm_userpolicy_type type = {.type = XFRM_POLICY_TYPE_SUB};
	struct nlmsghdr *message;

	cr_assert_eq(choice_load_policy(policy_message(&policy), &table), 0);
	cr_expect_eq(table.count, 1);
	cr_expect_not(table.unreadable);
	message = policy_message(&policy);
	mnl_attr_put(message, XFRMA_POLICY_TYPE, sizeof(type), &type);
	cr_assert_eq(choice_load_policy(message, &table), 0);
	cr_expect(table.unreadable);
	cr_expect_eq(table.count, 1);
}
