/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/policy_dump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"
#include "latchd/spd/policy_entry.h"

/* ---- one policy ---- */

struct attributes {
	const struct nlattr *by_type[XFRMA_MAX + 1];
};

static int read_value(const struct attributes *attributes, unsigned int type, void *out,
		      size_t size)
{
	const struct nlattr *attribute = attributes->by_type[type];

	if (!attribute)
		return 0;
	if (mnl_attr_get_payload_len(attribute) < size)
		return -EBADMSG;
	memcpy(out, mnl_attr_get_payload(attribute), size);
	return 0;
}

static int read_templates(const struct attributes *attributes, struct policy *policy)
{
	const struct nlattr *attribute = attributes->by_type[XFRMA_TMPL];
	size_t length = attribute ? mnl_attr_get_payload_len(attribute) : 0, i;
	const char *payload = attribute ? mnl_attr_get_payload(attribute) : NULL;
	struct xfrm_user_tmpl template;

	if (length % sizeof(template) || length / sizeof(template) > POLICY_TEMPLATES_MAX)
		return -EBADMSG;
	policy->template_count = (uint8_t)(length / sizeof(template));
	for (i = 0; i < policy->template_count; i++) {
		memcpy(&template, payload + i * sizeof(template), sizeof(template));
		policy->templates[i] = (struct policy_template){
			.protocol = template.id.proto,
			.mode = template.mode,
			.optional = template.optional,
		};
	}
	return 0;
}

static int read_selector(const struct xfrm_selector *selector, struct policy *policy)
{
	size_t length = selector->family == AF_INET ? 4 : 16;

	if ((selector->family != AF_INET && selector->family != AF_INET6) ||
	    selector->prefixlen_s > 8 * length || selector->prefixlen_d > 8 * length)
		return -EBADMSG;
	memcpy(policy->source, &selector->saddr, length);
	memcpy(policy->destination, &selector->daddr, length);
	policy->family = (uint8_t)selector->family;
	policy->source_bits = selector->prefixlen_s;
	policy->destination_bits = selector->prefixlen_d;
	policy->source_port = ntohs(selector->sport);
	policy->source_port_mask = ntohs(selector->sport_mask);
	policy->destination_port = ntohs(selector->dport);
	policy->destination_port_mask = ntohs(selector->dport_mask);
	policy->protocol = selector->proto;
	policy->limited = selector->ifindex != 0;
	return 0;
}

static enum policy_action action_of(uint8_t action, unsigned int templates)
{
	if (action != XFRM_POLICY_ALLOW)
		return POLICY_BLOCK;
	return templates ? POLICY_PROTECT : POLICY_BYPASS;
}

static int read_policy(const struct xfrm_userpolicy_info *info, const struct attributes *attributes,
		       struct policy *policy)
{
	struct xfrm_mark mark = {0};
	int err;

	err = read_selector(&info->sel, policy);
	if (!err)
		err = read_templates(attributes, policy);
	if (!err)
		err = read_value(attributes, XFRMA_MARK, &mark, sizeof(mark));
	if (!err)
		err = read_value(attributes, XFRMA_IF_ID, &policy->if_id, sizeof(policy->if_id));
	policy->limited |= mark.m || mark.v || attributes->by_type[XFRMA_SEC_CTX];
	policy->direction = info->dir == XFRM_POLICY_OUT ? POLICY_OUT : POLICY_IN;
	policy->priority = info->priority;
	policy->index = info->index;
	policy->added = info->curlft.add_time;
	policy->action = action_of(info->action, policy->template_count);
	policy->entry = policy_entry_is_ours(policy, &info->lft);
	return err;
}

/*
 * Policies for forwarded packets apply to no latched flow. Sub-policies can only add to main
 * policies.
 */
static int is_relevant(const struct xfrm_userpolicy_info *info, const struct attributes *attributes)
{
	struct xfrm_userpolicy_type type = {.type = XFRM_POLICY_TYPE_MAIN};
	int err = read_value(attributes, XFRMA_POLICY_TYPE, &type, sizeof(type));

	if (err)
		return err;
	return type.type == XFRM_POLICY_TYPE_MAIN &&
	       (info->dir == XFRM_POLICY_OUT || info->dir == XFRM_POLICY_IN);
}

int policy_dump_parse(const struct nlmsghdr *message, struct policy *ret)
{
	struct attributes attributes;
	struct xfrm_userpolicy_info info;
	int result;

	*ret = (struct policy){0};
	if (message->nlmsg_type != XFRM_MSG_NEWPOLICY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(info))
		return -EBADMSG;
	/* A copy: a message of a dump is aligned to four bytes only. */
	memcpy(&info, mnl_nlmsg_get_payload(message), sizeof(info));
	result = netlink_attributes(message, sizeof(struct xfrm_userpolicy_info),
				    attributes.by_type, XFRMA_MAX);
	if (!result)
		result = is_relevant(&info, &attributes);
	if (result <= 0)
		return result;
	result = read_policy(&info, &attributes, ret);
	return result ? result : 1;
}

/* ---- the default actions ---- */

int policy_dump_parse_default(const struct nlmsghdr *message,
			      enum policy_action ret[POLICY_DIRECTIONS])
{
	struct xfrm_userpolicy_default defaults;

	if (message->nlmsg_type != XFRM_MSG_GETDEFAULT ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(defaults))
		return -EBADMSG;
	memcpy(&defaults, mnl_nlmsg_get_payload(message), sizeof(defaults));
	ret[POLICY_IN] = defaults.in == XFRM_USERPOLICY_BLOCK ? POLICY_BLOCK : POLICY_BYPASS;
	ret[POLICY_OUT] = defaults.out == XFRM_USERPOLICY_BLOCK ? POLICY_BLOCK : POLICY_BYPASS;
	return 0;
}

static int on_default(void *context, const struct nlmsghdr *message)
{
	struct spd *spd = context;

	return policy_dump_parse_default(message, spd->default_action);
}

static int request_default(int fd, struct spd *spd)
{
	_Alignas(struct nlmsghdr) char
		buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct xfrm_userpolicy_default))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	mnl_nlmsg_put_extra_header(request, sizeof(struct xfrm_userpolicy_default));
	request->nlmsg_type = XFRM_MSG_GETDEFAULT;
	return netlink_request(fd, request, on_default, spd);
}

/* ---- the dump ---- */

struct dump {
	struct spd *spd;
	size_t capacity;
};

static int make_room(struct dump *dump)
{
	size_t capacity = dump->capacity ? dump->capacity * 2 : 64;
	struct policy *policies;

	if (dump->spd->count < dump->capacity)
		return 0;
	if (capacity > POLICY_DUMP_MAX)
		return -E2BIG;
	policies = reallocarray(dump->spd->policies, capacity, sizeof(*policies));
	if (!policies)
		return -ENOMEM;
	dump->spd->policies = policies;
	dump->capacity = capacity;
	return 0;
}

static int on_policy(void *context, const struct nlmsghdr *message)
{
	struct dump *dump = context;
	int err = make_room(dump), found;

	if (err)
		return err;
	found = policy_dump_parse(message, &dump->spd->policies[dump->spd->count]);
	if (found < 0)
		return found;
	dump->spd->count += (size_t)found;
	return 0;
}

static int request_policies(int fd, struct spd *spd)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct dump dump = {.spd = spd};

	request->nlmsg_type = XFRM_MSG_GETPOLICY;
	request->nlmsg_flags = NLM_F_DUMP;
	return netlink_request(fd, request, on_policy, &dump);
}

int policy_dump(uint64_t netns_cookie, struct spd *ret)
{
	auto_close int fd = netlink_open(netns_cookie, NETLINK_XFRM);
	int err = fd < 0 ? fd : 0;

	*ret = (struct spd){0};
	if (!err)
		err = request_default(fd, ret);
	if (!err)
		err = request_policies(fd, ret);
	if (err)
		policy_dump_release(ret);
	return err;
}

void policy_dump_release(struct spd *spd)
{
	free(spd->policies);
	*spd = (struct spd){0};
}
