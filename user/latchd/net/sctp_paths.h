/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which paths SCTP associations have, by sock_diag(7) in a namespace. A path is
 * one pair of addresses; the kernel lists both ends' addresses of an association.
 */
#ifndef LATCHD_NET_SCTP_PATHS_H
#define LATCHD_NET_SCTP_PATHS_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

struct sctp_path {
	struct latch_flow flow;
	struct latch latch; /* as it was seen */
	bool alive;	    /* some association has it */
};

/* By namespace, then by ports: the order that the others want. */
void sctp_paths_sort(struct sctp_path *paths, size_t count);

/* What one message of the kernel's says of paths, all of one namespace. 0 or -EBADMSG. */
int sctp_paths_mark(const struct nlmsghdr *message, struct sctp_path *paths, size_t count);

/*
 * Sets alive of paths, all of that namespace. 0; -ENOENT when there is no such
 * namespace, -EPROTONOSUPPORT when the kernel has no sctp_diag, or another negative
 * errno: then nobody knows.
 */
int sctp_paths_ask(uint64_t netns, struct sctp_path *paths, size_t count);

#endif
