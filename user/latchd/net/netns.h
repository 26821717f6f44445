/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network namespaces by their cookie (SO_NETNS_COOKIE), which is never used
 * twice until the next boot. No descriptor is kept: that would keep a namespace
 * alive which everybody else has left. For the thread that owns the event loop.
 */
#ifndef LATCHD_NET_NETNS_H
#define LATCHD_NET_NETNS_H

#include <stdint.h>
#include <sys/types.h>

/* Our own namespace. 0 or a negative errno. */
int netns_own(uint64_t *ret_cookie);

/* The namespace of a process. 0 or a negative errno. */
int netns_of_process(pid_t pid, uint64_t *ret_cookie);

/*
 * Remembers that this process was seen there: netns_open() looks there before
 * it looks at every process. One process a namespace, the newest ones only.
 */
void netns_hint(uint64_t cookie, pid_t pid);

/*
 * A descriptor of the namespace, the caller's to close. -ENOENT when no process
 * is in it (a thread that left its process's namespace does not count) and none
 * of our mounts or init's holds it; another negative errno when something could
 * not be looked at, so that nobody can tell.
 */
int netns_open(uint64_t cookie);

/* 1: it is of a user namespace other than ours, 0: of ours; or a negative errno as netns_open(). */
int netns_is_foreign(uint64_t cookie);

/*
 * Visits every namespace that a process is in or that a mount of init's or ours
 * holds, each at least once. Non-zero ends the walk and is what it returns; else 0,
 * or a negative errno when something could not be looked at.
 */
typedef int (*netns_visit_fn)(void *context, uint64_t cookie);
int netns_walk(netns_visit_fn visit, void *context);

/*
 * Runs a function within that namespace and returns what it does. The calling
 * thread is back in its own afterwards (or the process ends: it must never act
 * in a wrong one). Or a negative errno, and the function was not run.
 */
int netns_call(int netns_fd, int (*function)(void *context), void *context);

/* A socket that belongs to that namespace, close-on-exec: a descriptor or a negative errno. */
int netns_socket(int netns_fd, int domain, int type, int protocol);

#endif
