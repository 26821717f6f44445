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

/* The cookie of the calling thread's namespace. 0 or a negative errno. */
int netns_own(uint64_t *ret_cookie);

/* The cookie of a process's namespace. 0 or a negative errno. */
int netns_of_process(pid_t pid, uint64_t *ret_cookie);

/*
 * Remembers that this process is in the namespace: netns_open() tries it before it scans all
 * processes. Keeps one process a namespace, for the 256 newest namespaces.
 */
void netns_hint(uint64_t cookie, pid_t pid);

/*
 * Opens a descriptor of the namespace, which the caller closes. -ENOENT: no process is in it, and
 * no mount of latchd or init holds it. A thread that left the namespace of its process does not
 * count. Another negative errno: some process or mount could not be read, so that the namespace
 * may exist.
 */
int netns_open(uint64_t cookie);

/*
 * 1: it belongs to another user namespace than latchd. 0: to the same one. Or a negative errno as
 * of netns_open().
 */
int netns_is_foreign(uint64_t cookie);

/*
 * Visits each namespace at least once that a process is in, or that a mount of latchd or init
 * holds. A non-zero result ends the walk and is returned. Else 0, or a negative errno: some process
 * or mount could not be read.
 */
typedef int (*netns_visit_fn)(void *context, uint64_t cookie);
int netns_walk(netns_visit_fn visit, void *context);

/*
 * Runs a function within that namespace and returns its result. The thread is back in its own
 * namespace afterwards; if that fails the process aborts, since it must never act in a wrong
 * namespace. A negative errno: the function may not have run.
 */
int netns_call(int netns_fd, int (*function)(void *context), void *context);

/* Opens a socket of that namespace, close-on-exec: its descriptor, or a negative errno. */
int netns_socket(int netns_fd, int domain, int type, int protocol);

#endif
