/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of network namespaces, for reports: the names of "ip netns", in /run/netns. */
#ifndef LATCHD_NET_NETNS_NAMES_H
#define LATCHD_NET_NETNS_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define NETNS_NAME_SIZE 64

struct netns_name {
	uint64_t cookie;
	char name[NETNS_NAME_SIZE];
};

struct netns_names {		  /* zeroed before first use */
	struct netns_name *names; /* by cookie, then by name */
	size_t count, capacity;
	uint64_t due_ms; /* time of the next reading */
};

/* Reads the names again, unless that was done a moment ago. Leaves out names that cannot be
 * read. */
void netns_names_refresh(struct netns_names *names);
void netns_names_release(struct netns_names *names);

/* The namespace's first name in order. NULL: it has none. */
const char *netns_names_of(const struct netns_names *names, uint64_t cookie);

/*
 * The name of a mount of ip netns, with the path below /proc/1/root; NULL: another mount, maybe
 * with a path that ends alike.
 */
const char *netns_names_of_path(const char *path);

/*
 * The namespace with this cookie in digits, else the namespace with this name. So no name hides a
 * cookie. 0, or -ENOENT.
 */
int netns_names_find(const struct netns_names *names, const char *word, uint64_t *ret_cookie);

#endif
