/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network namespaces by their cookie (SO_NETNS_COOKIE), which is never used
 * twice until the next boot. No descriptor is kept: that would keep a namespace
 * alive which everybody else has left.
 */
#ifndef LATCHD_KERNEL_NETNS_H
#define LATCHD_KERNEL_NETNS_H

#include <stdint.h>
#include <sys/types.h>

/* The namespace of a process. 0 or a negative errno. */
int netns_of_process(pid_t pid, uint64_t *ret_cookie);

/* Remembers that this process was seen there: netns_open() looks there first. */
void netns_hint(uint64_t cookie, pid_t pid);

/*
 * A descriptor of the namespace, the caller's to close. Looks at the hints, at
 * our own namespace, then at every process. -ENOENT when no process is in it.
 */
int netns_open(uint64_t cookie);

/*
 * A socket that belongs to that namespace, close-on-exec; the calling thread is
 * back in its own namespace afterwards (or the process ends: it must never act
 * in a wrong one). A descriptor or a negative errno.
 */
int netns_socket(int netns_fd, int domain, int type, int protocol);

#endif
