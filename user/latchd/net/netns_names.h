/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of network namespaces for people: those that "ip netns" has given, in /run/netns. */
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
	uint64_t due_ms; /* of the next look */
};

/* Looks again, unless the last look was a moment ago. Names that cannot be read are left out. */
void netns_names_refresh(struct netns_names *names);
void netns_names_release(struct netns_names *names);

/* NULL: it has none. Of several the first one in order. */
const char *netns_names_of(const struct netns_names *names, uint64_t cookie);

/* The namespace with this name, or with this cookie in digits. 0, or -ENOENT. */
int netns_names_find(const struct netns_names *names, const char *word, uint64_t *ret_cookie);

#endif
