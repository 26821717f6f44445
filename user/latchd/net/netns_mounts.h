/* SPDX-License-Identifier: BSD-2-Clause */
/* Network namespaces that are mounted somewhere, as "ip netns add" does it. */
#ifndef LATCHD_NET_NETNS_MOUNTS_H
#define LATCHD_NET_NETNS_MOUNTS_H

/* netns_fd is the walk's. A negative errno goes on; all else ends the walk and is what it returns.
 */
typedef int (*netns_mount_fn)(void *context, int netns_fd);

/*
 * All that the process at this path of /proc ("/proc/1") has mounted; where
 * something else is mounted over one, that is what is visited. -ENOENT at the
 * end, or another negative errno if there was one on the way.
 */
int netns_mounts_walk(const char *process, netns_mount_fn visit, void *context);

#endif
