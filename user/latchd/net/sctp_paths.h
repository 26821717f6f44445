/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks by sock_diag(7) which paths SCTP associations of a namespace have. A path is one pair of
 * addresses. The kernel lists the addresses of both ends of an association.
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
	struct latch latch; /* as the caller read it */
	bool alive;	    /* an association has this path */
};

/* Sorts by namespace, then by ports, as the functions below need it. */
void sctp_paths_sort(struct sctp_path *paths, size_t count);

/*
 * Sets alive of the paths in one message of the kernel. All paths are of one namespace. 0 or
 * -EBADMSG.
 */
int sctp_paths_mark(const struct nlmsghdr *message, struct sctp_path *paths, size_t count);

/*
 * Sets alive of paths, which are all of that namespace. 0, -ENOENT (no such namespace),
 * -EPROTONOSUPPORT (the kernel has no sctp_diag), or another negative errno. After an error alive
 * has no meaning.
 */
int sctp_paths_ask(uint64_t netns, struct sctp_path *paths, size_t count);

#endif
