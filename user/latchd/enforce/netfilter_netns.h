/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which network namespaces the netfilter gate stands in: those that latchd has heard of, by
 * a key manager, an SA or a latch. They are looked after every few seconds: what is
 * missing is attached, and a namespace that nobody else uses is let go.
 */
#ifndef LATCHD_ENFORCE_NETFILTER_NETNS_H
#define LATCHD_ENFORCE_NETFILTER_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter_gate.h"
#include "common/loop.h"

struct netfilter_netns;

/*
 * Keeps all pointers. Covers at once where an earlier latchd did and where the
 * tables have latches or SAs. NULL when out of memory; what cannot be attached is
 * logged and tried again.
 */
struct netfilter_netns *netfilter_netns_new(struct loop *loop, const struct kernel_maps *maps,
					    const struct netfilter_gate *gate);
/* The links stay. */
void netfilter_netns_free(struct netfilter_netns *netfilter_netns);

/* Cheap when it is known already. */
void netfilter_netns_add(struct netfilter_netns *netfilter_netns, uint64_t netns_cookie);

/* False: the kernel has no the netfilter gate, and there are no namespaces. */
bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns);

struct netfilter_netns_entry {
	uint64_t cookie;
	bool attached; /* asked of the kernel now */
};

/* Fills at most max; returns how many namespaces there are. */
size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max);

#endif
