/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network namespaces that have the netfilter gate: those with a key manager, an SA or a latch
 * that latchd knows. Every few seconds a missing gate is attached again, and the gate of an unused
 * namespace is detached. Local users' namespaces, and look-ups for them, have a share.
 */
#ifndef LATCHD_ENFORCE_NETFILTER_NETFILTER_NETNS_H
#define LATCHD_ENFORCE_NETFILTER_NETFILTER_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter/netfilter_gate.h"
#include "common/loop.h"

struct netfilter_netns;

/* Keeps all pointers. NULL when out of memory. */
struct netfilter_netns *netfilter_netns_new(struct loop *loop, const struct kernel_maps *maps,
					    const struct netfilter_gate *gate);
/*
 * Attaches the gate at once to namespaces that an earlier latchd had and to namespaces with latches
 * or SAs. A gate that cannot be attached is logged and tried again.
 */
void netfilter_netns_start(struct netfilter_netns *netfilter_netns);
/* The links stay attached. */
void netfilter_netns_free(struct netfilter_netns *netfilter_netns);

/*
 * Any local user can make user namespaces, and SAs and latches in their network namespaces.
 * These have a share of this many gates, unless a key manager serves them.
 */
#define NETFILTER_NETNS_FOREIGN_MAX 64

enum netfilter_netns_origin {
	NETFILTER_NETNS_OWN,	 /* of the host's user namespace, or served by a key manager */
	NETFILTER_NETNS_FOREIGN, /* of another user namespace */
	NETFILTER_NETNS_UNKNOWN, /* one of these two */
	NETFILTER_NETNS_PINNED,	 /* an earlier latchd attached the gate */
};

/* The origin of a namespace as its latch or SA shows it. */
enum netfilter_netns_origin netfilter_netns_of_latch(union latch_word word);
enum netfilter_netns_origin netfilter_netns_of_sa(union latch_sa_word word);

/*
 * Attaches the gate to a namespace, unless the share of foreign namespaces is full. In that case
 * it tries again when a place is free, if the tables still have the namespace. Cheap for a known
 * namespace. Cookie 0 is ignored.
 */
void netfilter_netns_add(struct netfilter_netns *netfilter_netns, uint64_t netns_cookie,
			 enum netfilter_netns_origin origin);

/* False: the kernel has no BPF netfilter programs, and the list of namespaces is empty. */
bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns);

struct netfilter_netns_entry {
	uint64_t cookie;
	bool attached; /* the kernel reports the links */
	bool foreign;  /* shown by an SA or a look-up; false: not foreign, or not known yet */
};

/* True: a foreign namespace waits for a free place in the share. */
bool netfilter_netns_share_is_short(const struct netfilter_netns *netfilter_netns);

/*
 * True: by an SA or a look-up the namespace belongs to another user namespace. False: it belongs
 * to the host's, or that is not known.
 */
bool netfilter_netns_is_foreign(const struct netfilter_netns *netfilter_netns,
				uint64_t netns_cookie);

/* Fills at most max entries. Returns the number of namespaces, which may be larger. */
size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max);

#endif
