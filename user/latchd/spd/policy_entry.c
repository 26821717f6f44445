/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/policy_entry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"

/*
 * "LATCHD" as a byte limit. The kernel stores and dumps the limit of a policy, but counts bytes for
 * SAs only.
 */
#define ENTRY_MARK 0x4c4154434844ull
#define ENTRY_SIZE 1024

union message_buffer {
	struct nlmsghdr header;
	char bytes[ENTRY_SIZE];
};

bool policy_entry_is_ours(const struct policy *policy, const struct xfrm_lifetime_cfg *lifetime)
{
	return lifetime->hard_byte_limit == ENTRY_MARK &&
	       lifetime->hard_add_expires_seconds == POLICY_ENTRY_S && !policy->priority &&
	       policy->action == POLICY_PROTECT && !policy->limited &&
	       policy_is_for_one_flow(policy);
}

static uint8_t kernel_direction(enum policy_direction direction)
{
	return direction == POLICY_OUT ? XFRM_POLICY_OUT : XFRM_POLICY_IN;
}

static int ignore(void *context, const struct nlmsghdr *message)
{
	(void)context;
	(void)message;
	return 0;
}

static int request(uint64_t netns, struct nlmsghdr *message)
{
	auto_close int fd = netlink_open(netns, NETLINK_XFRM);

	return fd < 0 ? fd : netlink_request(fd, message, ignore, NULL);
}

static void write_selector(const struct policy_entry *entry, struct xfrm_selector *selector)
{
	const struct latch_flow *flow = &entry->flow;
	bool out = entry->direction == POLICY_OUT;

	memcpy(&selector->saddr, out ? flow->local_addr : flow->remote_addr, 16);
	memcpy(&selector->daddr, out ? flow->remote_addr : flow->local_addr, 16);
	selector->sport = htons(out ? flow->local_port : flow->remote_port);
	selector->dport = htons(out ? flow->remote_port : flow->local_port);
	selector->sport_mask = selector->dport_mask = 0xffff;
	selector->prefixlen_s = selector->prefixlen_d = flow->family == AF_INET ? 32 : 128;
	selector->family = flow->family;
	selector->proto = flow->protocol;
}

static void write_template(struct nlmsghdr *message, const struct policy_entry *entry)
{
	struct xfrm_user_tmpl template = {
		.id.proto = entry->protocol,
		.mode = entry->mode,
		.family = entry->flow.family,
		.reqid = entry->reqid,
		.aalgos = ~0u,
		.ealgos = ~0u,
		.calgos = ~0u,
	};

	if (entry->mode != XFRM_MODE_TRANSPORT) {
		template.family = entry->family;
		memcpy(&template.saddr, entry->source, sizeof(template.saddr));
		memcpy(&template.id.daddr, entry->destination, sizeof(template.id.daddr));
	}
	mnl_attr_put(message, XFRMA_TMPL, sizeof(template), &template);
}

int policy_entry_insert(const struct policy_entry *entry, bool renew)
{
	union message_buffer buffer = {.bytes = ""};
	struct nlmsghdr *message = mnl_nlmsg_put_header(&buffer);
	struct xfrm_userpolicy_info *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	message->nlmsg_type = renew ? XFRM_MSG_UPDPOLICY : XFRM_MSG_NEWPOLICY;
	write_selector(entry, &info->sel);
	info->dir = kernel_direction(entry->direction);
	info->action = XFRM_POLICY_ALLOW;
	info->lft.soft_byte_limit = XFRM_INF;
	info->lft.hard_byte_limit = ENTRY_MARK;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	info->lft.hard_add_expires_seconds = POLICY_ENTRY_S;
	write_template(message, entry);
	if (entry->if_id)
		mnl_attr_put_u32(message, XFRMA_IF_ID, entry->if_id);
	return request(entry->flow.netns, message);
}

/* Deletes by index: another policy may have the selector by now. */
int policy_entry_remove(uint64_t netns, const struct policy *policy)
{
	union message_buffer buffer = {.bytes = ""};
	struct nlmsghdr *message = mnl_nlmsg_put_header(&buffer);
	struct xfrm_userpolicy_id *id = mnl_nlmsg_put_extra_header(message, sizeof(*id));
	int err;

	message->nlmsg_type = XFRM_MSG_DELPOLICY;
	id->index = policy->index;
	id->dir = kernel_direction(policy->direction);
	if (policy->if_id)
		mnl_attr_put_u32(message, XFRMA_IF_ID, policy->if_id);
	err = request(netns, message);
	return err == -ENOENT ? 0 : err;
}
