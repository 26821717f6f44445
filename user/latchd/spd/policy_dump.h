/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the present SPD of a network namespace over netlink. */
#ifndef LATCHD_SPD_POLICY_DUMP_H
#define LATCHD_SPD_POLICY_DUMP_H

#include <linux/netlink.h>
#include <stdint.h>

#include "latchd/spd/policy.h"

#define POLICY_DUMP_MAX 131072 /* policies of a namespace, of about 100 bytes each */

/*
 * Reads the main policies for incoming and outgoing packets, and the default actions. 0 and an SPD
 * for policy_dump_release(). Else there is nothing to release, and the result is:
 *   -EINTR   the SPD was edited during the dump; try again
 *   -E2BIG   more than POLICY_DUMP_MAX policies
 *   -ENOENT  no such namespace
 *   another negative errno
 */
int policy_dump(uint64_t netns_cookie, struct spd *ret);
void policy_dump_release(struct spd *spd);

/*
 * Parses one message of the dump; all its nlmsg_len bytes must be readable. 1 and the policy, 0
 * for a policy that policy_dump() ignores, or -EBADMSG.
 */
int policy_dump_parse(const struct nlmsghdr *message, struct policy *ret);

/* Parses the answer to XFRM_MSG_GETDEFAULT. 0 or -EBADMSG. */
int policy_dump_parse_default(const struct nlmsghdr *message,
			      enum policy_action ret[POLICY_DIRECTIONS]);

#endif
