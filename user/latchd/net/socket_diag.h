/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A flow's socket, by sock_diag(7) in the flow's own namespace. TCP and connected UDP:
 * -EPROTONOSUPPORT for other flows, and when the kernel cannot look for sockets.
 * An IPv4 flow may belong to an IPv6 socket, which is found too. A listener has
 * no flow, and nor has a UDP socket that is not connected: they are never found and
 * never ended.
 */
#ifndef LATCHD_NET_SOCKET_DIAG_H
#define LATCHD_NET_SOCKET_DIAG_H

#include <stdint.h>

#include "latch_abi.h"

/*
 * Ends the flow's socket locally (SOCK_DESTROY), if it has this cookie (SO_COOKIE; 0 =
 * any): after its end another may have got the same addresses and ports. Its owner sees
 * ECONNABORTED. 0, -ENOENT when there is no such socket (or no such namespace),
 * -EOPNOTSUPP when the kernel cannot end it (built without CONFIG_INET_DIAG_DESTROY; or a
 * TIME_WAIT socket, which has no owner, on an older one), or another negative errno.
 */
int socket_diag_destroy_owner(const struct latch_flow *flow, uint64_t cookie);

/* The same, only while it is still being connected: -EISCONN afterwards. */
int socket_diag_destroy_connecting(const struct latch_flow *flow, uint64_t cookie);

/*
 * 0 when some socket has the flow, request and TIME_WAIT sockets included; -ENOENT
 * when none has. A socket that is bound to a device is not found: to look for those
 * means a walk over all sockets.
 */
int socket_diag_find(const struct latch_flow *flow);

/* The same, with that walk, for a socket with this cookie (0 = any). */
int socket_diag_search(const struct latch_flow *flow, uint64_t cookie);

/*
 * Every TCP socket that listens in a namespace, as the flow of its LISTENER. Non-zero
 * from the visitor ends the dump and is what it returns; else 0 or a negative errno,
 * -EINTR when sockets came or went meanwhile, so that one may be missing.
 */
typedef int (*socket_diag_visit_fn)(void *context, const struct latch_flow *flow);
int socket_diag_listeners(uint64_t netns, socket_diag_visit_fn visit, void *context);

/* Has the kernel load what the others need, which takes long the first time. 0 or a negative errno.
 */
int socket_diag_prepare(void);

#endif
