/* SPDX-License-Identifier: BSD-2-Clause */
/* The SAs that a namespace's kernel has now, over netlink: those from before latchd's programs. */
#ifndef LATCHD_SA_SA_DUMP_H
#define LATCHD_SA_SA_DUMP_H

#include <linux/netlink.h>
#include <stdint.h>

#include "latchd/maps/tables.h"

/*
 * ESP and AH only, and none that is still larval. Every latch_sa is filled as the
 * SA watch would (bpf/watch/sa_watch.bpf.c), but for word, instance and installed, which
 * are 0. 0, -EINTR when the kernel's list changed meanwhile (dump again), -ENOENT
 * when there is no such namespace, another negative errno, or what the callback
 * returned. Some SAs may have been visited before an error.
 */
int sa_dump(uint64_t netns_cookie, sa_visit_fn visit, void *context);

/*
 * One message of the dump, all of its nlmsg_len bytes readable. 1 and the SA,
 * 0 when it is none of those that sa_dump() visits, or -EBADMSG.
 */
int sa_dump_parse(const struct nlmsghdr *message, uint64_t netns_cookie,
		  struct latch_sa_key *ret_key, struct latch_sa *ret_sa);

#endif
