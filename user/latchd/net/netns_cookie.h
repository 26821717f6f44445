/* SPDX-License-Identifier: BSD-2-Clause */
/* Cookies of network namespaces, and calls within one. The descriptors are the caller's. */
#ifndef LATCHD_NET_NETNS_COOKIE_H
#define LATCHD_NET_NETNS_COOKIE_H

#include <stdint.h>
#include <sys/types.h>

/* The cookie of the calling thread's namespace. 0 or a negative errno. */
int netns_own(uint64_t *ret_cookie);

/* The cookie of a process's namespace. 0 or a negative errno. */
int netns_of_process(pid_t pid, uint64_t *ret_cookie);

/* The cookie of the namespace that the descriptor refers to. 0 or a negative errno. */
int netns_of_descriptor(int netns_fd, uint64_t *ret_cookie);

/* Opens a descriptor of a process's namespace, or returns a negative errno. */
int netns_open_process(pid_t pid);
/* The same for the calling thread's namespace. */
int netns_open_own(void);

/* 1: the namespace belongs to another user namespace than latchd. 0: to the same one. Or a negative
 * errno. */
int netns_descriptor_is_foreign(int netns_fd);

/*
 * Runs a function within that namespace and returns its result. The thread is back in its own
 * namespace afterwards; if that fails the process aborts, since it must never act in a wrong
 * namespace. A negative errno: the function may not have run.
 */
int netns_call(int netns_fd, int (*function)(void *context), void *context);

/* Opens a socket of that namespace, close-on-exec: its descriptor, or a negative errno. */
int netns_socket(int netns_fd, int domain, int type, int protocol);

#endif
