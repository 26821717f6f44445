/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds mounted network namespaces, such as those of "ip netns add". */
#ifndef LATCHD_NET_NETNS_MOUNTS_H
#define LATCHD_NET_NETNS_MOUNTS_H

/*
 * netns_fd and path, which leads to the mount, are valid during the call only. A negative errno
 * continues the walk, all else ends it.
 */
typedef int (*netns_mount_fn)(void *context, int netns_fd, const char *path);

/*
 * Visits the network namespaces that the process at this path of /proc ("/proc/1") has mounted. A
 * file system mounted over one of them is visited instead. Returns the result that ended the
 * walk; else -ENOENT, or the last other negative errno on the way.
 */
int netns_mounts_walk(const char *process, netns_mount_fn visit, void *context);

/* A descriptor of that path, without waiting for a device or pipe, or a negative errno. */
int netns_mounts_open(const char *path);

#endif
