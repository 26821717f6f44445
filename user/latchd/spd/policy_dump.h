/* SPDX-License-Identifier: BSD-2-Clause */
/* The SPD that a namespace's kernel has now, over netlink. */
#ifndef LATCHD_SPD_POLICY_DUMP_H
#define LATCHD_SPD_POLICY_DUMP_H

#include <linux/netlink.h>
#include <stdint.h>

#include "latchd/spd/policy.h"

#define POLICY_DUMP_MAX 131072 /* policies of a namespace; each is about 100 bytes */

/*
 * Main policies for packets in and out, and the default actions. 0 and an SPD for
 * policy_dump_release(); -EINTR when it was edited meanwhile (dump again), -E2BIG
 * for more than POLICY_DUMP_MAX, -ENOENT when there is no such namespace, or
 * another negative errno, and nothing to release.
 */
int policy_dump(uint64_t netns_cookie, struct spd *ret);
void policy_dump_release(struct spd *spd);

/*
 * Makes the namespace's sockets look up their policies again. The kernel leaves them the
 * route that a BYPASS has given them even when that is deleted. 0 or a negative errno.
 */
int policy_forget_routes(uint64_t netns_cookie);

/*
 * One message of the dump, all of its nlmsg_len bytes readable. 1 and the policy,
 * 0 when it is none of those that policy_dump() keeps, or -EBADMSG.
 */
int policy_dump_parse(const struct nlmsghdr *message, struct policy *ret);

/* The answer to XFRM_MSG_GETDEFAULT. 0 or -EBADMSG. */
int policy_dump_parse_default(const struct nlmsghdr *message,
			      enum policy_action ret[POLICY_DIRECTIONS]);

#endif
