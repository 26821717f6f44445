/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds network namespaces by their cookie (SO_NETNS_COOKIE). The kernel never uses a cookie twice
 * before the next boot. This file keeps no descriptors, since they would keep an unused namespace
 * alive. Call it only from the thread of the event loop.
 */
#ifndef LATCHD_NET_NETNS_H
#define LATCHD_NET_NETNS_H

#include <stdint.h>
#include <sys/types.h>

#include "latchd/net/netns_cookie.h"

/*
 * Remembers that this process, a key manager, is in the namespace: netns_open() tries it first.
 * Keeps one process a namespace, for the 256 newest namespaces.
 */
void netns_hint(uint64_t cookie, pid_t pid);

/*
 * Opens a descriptor of the namespace, which the caller closes. -ENOENT: no process is in it, and
 * no mount of latchd or init holds it. A thread that left the namespace of its process does not
 * count. Another negative errno: some process or mount could not be read. The namespace may exist.
 * -EAGAIN: too many look-ups of unknown namespaces. A later one will find it. -EUSERS: local users
 * have more namespaces than latchd reads, and this may be one of them. No pass has seen it as one
 * of the host's user namespace.
 *
 * One pass over all processes answers every look-up. Passes get a limited share of the time.
 */
int netns_open(uint64_t cookie);

/*
 * 1: the namespace belongs to another user namespace than latchd. 0: to the same one. Or a
 * negative errno as of netns_open().
 */
int netns_is_foreign(uint64_t cookie);

/* Number of passes over all processes so far. */
uint64_t netns_passes(void);

/*
 * Visits each namespace once that a process is in, or that a mount of latchd or init holds, by one
 * pass. A non-zero result ends the walk and is returned. Else 0, or a negative errno as of
 * netns_open(): some namespace was not visited.
 */
typedef int (*netns_visit_fn)(void *context, uint64_t cookie);
int netns_walk(netns_visit_fn visit, void *context);

#endif
