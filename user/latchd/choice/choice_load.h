/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the SPD and the xfrm interfaces of a namespace over netlink. */
#ifndef LATCHD_CHOICE_CHOICE_LOAD_H
#define LATCHD_CHOICE_CHOICE_LOAD_H

#include <linux/netlink.h>

#include "latchd/choice/choice_table.h"

/*
 * 0 and a built table for choice_table_release(); or a negative errno as of policy_dump(), and
 * nothing to release.
 */
int choice_load(uint64_t netns, struct choice_table *ret);

/* The xfrm interfaces alone. */
int choice_load_devices(uint64_t netns, struct choice_table *ret);
int choice_open_links(uint64_t netns);

/* One message of a dump. 0 or a negative errno. */
int choice_load_policy(const struct nlmsghdr *message, struct choice_table *table);
int choice_load_device(const struct nlmsghdr *message, struct choice_table *table);

#endif
