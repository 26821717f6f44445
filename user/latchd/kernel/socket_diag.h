/* SPDX-License-Identifier: BSD-2-Clause */
/* A flow's socket, by sock_diag(7) in the flow's own namespace. */
#ifndef LATCHD_KERNEL_SOCKET_DIAG_H
#define LATCHD_KERNEL_SOCKET_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"

/*
 * Ends the socket locally (SOCK_DESTROY): its owner sees ECONNABORTED. 0, -ENOENT
 * when there is no such socket (or no such namespace), or another negative errno.
 * An IPv4 flow may belong to an IPv6 socket, which is found too.
 */
int socket_diag_destroy(const struct latch_flow *flow);

/* 0 when some socket has the flow, request and TIME_WAIT sockets included; -ENOENT when none has. */
int socket_diag_find(const struct latch_flow *flow);

#endif
