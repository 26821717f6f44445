/* SPDX-License-Identifier: BSD-2-Clause */
/* Dumps the SAs of a namespace over netlink, to find the SAs from before latchd's programs. */
#ifndef LATCHD_SA_UNBOUND_SA_DUMP_H
#define LATCHD_SA_UNBOUND_SA_DUMP_H

#include <linux/netlink.h>
#include <stdint.h>

#include "latchd/maps/tables.h"

/*
 * Visits ESP and AH SAs that are not larval. Each latch_sa is filled as the SA
 * watch fills it (bpf/watch/sa_watch.bpf.c), except word, instance and installed,
 * which are 0. Returns 0, a negative errno, or the
 * callback's non-zero result. -EINTR: the kernel's list changed during the dump, dump
 * again. -ENOENT: unknown namespace. Some SAs may have been visited before an error.
 */
int sa_dump(uint64_t netns_cookie, sa_visit_fn visit, void *context);

/*
 * Reads one message of a dump; all its nlmsg_len bytes must be readable. 1 and
 * the SA, 0 for an SA that sa_dump() does not visit, or -EBADMSG.
 */
int sa_dump_parse(const struct nlmsghdr *message, uint64_t netns_cookie,
		  struct latch_sa_key *ret_key, struct latch_sa *ret_sa);

#endif
