/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/policy_routes.h"

#include <linux/xfrm.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"

static int ignore(void *context, const struct nlmsghdr *message)
{
	(void)context;
	(void)message;
	return 0;
}

/* XFRM_MSG_SETDEFAULT without an action changes no default, but renews the route generation. */
int policy_routes_forget(uint64_t netns_cookie)
{
	auto_close int fd = netlink_open(netns_cookie, NETLINK_XFRM);
	_Alignas(struct nlmsghdr) char
		buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct xfrm_userpolicy_default))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	if (fd < 0)
		return fd;
	mnl_nlmsg_put_extra_header(request, sizeof(struct xfrm_userpolicy_default));
	request->nlmsg_type = XFRM_MSG_SETDEFAULT;
	return netlink_request(fd, request, ignore, NULL);
}
