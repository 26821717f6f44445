/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds and ends the socket of a flow, by sock_diag(7) in the flow's namespace. The flow is TCP or
 * connected UDP. -EPROTONOSUPPORT: another protocol, or a kernel without tcp_diag or udp_diag. The
 * IPv6 socket of an IPv4 flow is found too. Listeners and unconnected UDP sockets have no flow:
 * they are never found and never ended.
 */
#ifndef LATCHD_NET_SOCKET_DIAG_H
#define LATCHD_NET_SOCKET_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"

/*
 * Ends the flow's socket locally (SOCK_DESTROY) if it has this cookie (SO_COOKIE; 0 = any). The
 * cookie matters since another socket may have the same addresses and ports later. The owner of
 * the socket sees ECONNABORTED. 0, or:
 *   -ENOENT      no such socket, or no such namespace
 *   -EOPNOTSUPP  the kernel cannot end it: built without CONFIG_INET_DIAG_DESTROY, or an older
 *                kernel and a TIME_WAIT socket, which has no owner
 *   another negative errno
 */
int socket_diag_destroy_owner(const struct latch_flow *flow, uint64_t cookie);

/* The same, but only while the socket is being connected: -EISCONN afterwards. */
int socket_diag_destroy_connecting(const struct latch_flow *flow, uint64_t cookie);

/*
 * One of the two functions above, with only the quick look-up of socket_diag_find(). -ENOENT also
 * for a socket that this look-up misses.
 */
int socket_diag_destroy_found(const struct latch_flow *flow, uint64_t cookie, bool connecting);

/*
 * 0: some socket has the flow, which may be a request or TIME_WAIT socket. -ENOENT: no socket has
 * it. Does not find sockets that are bound to a device, which needs a walk over all sockets. Or
 * another negative errno.
 */
int socket_diag_find(const struct latch_flow *flow);
/* The same for a socket with this cookie (0 = any). */
int socket_diag_find_owner(const struct latch_flow *flow, uint64_t cookie);
/* 0: a socket with the flow is being connected. -EISCONN: a socket in another state has the flow.
 * Else as socket_diag_find(). */
int socket_diag_find_connecting(const struct latch_flow *flow);

/* As socket_diag_find_owner(), but with a walk over all sockets. */
int socket_diag_search(const struct latch_flow *flow, uint64_t cookie);

/*
 * Visits every listening TCP socket of a namespace, as the flow of its LISTENER latch. A non-zero
 * result ends the dump and is returned. Else 0 or a negative errno. -EINTR: sockets came or went
 * meanwhile, so that one may be missing.
 */
typedef int (*socket_diag_visit_fn)(void *context, const struct latch_flow *flow);
int socket_diag_listeners(uint64_t netns, socket_diag_visit_fn visit, void *context);

/*
 * Makes the kernel load its diag modules, which takes long the first time. 0 or a negative errno.
 */
int socket_diag_prepare(void);

#endif
