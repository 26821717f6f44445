/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which network namespaces gate (b) stands in: those that latchd has heard of, by
 * a key manager, an SA or a latch. They are looked after every few seconds: what is
 * missing is attached, and a namespace that nobody else uses is let go.
 */
#ifndef LATCHD_COVERAGE_H
#define LATCHD_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter_gate.h"
#include "common/loop.h"

struct coverage;

/*
 * Keeps all pointers. Covers at once where an earlier latchd did and where the
 * tables have latches or SAs. NULL when out of memory; what cannot be attached is
 * logged and tried again.
 */
struct coverage *coverage_new(struct loop *loop, const struct kernel_maps *maps,
			      const struct netfilter_gate *gate);
/* The links stay. */
void coverage_free(struct coverage *coverage);

/* Cheap when it is known already. */
void coverage_add(struct coverage *coverage, uint64_t netns_cookie);

/* False: the kernel has no gate (b), and there are no namespaces. */
bool coverage_is_offered(const struct coverage *coverage);

struct coverage_netns {
	uint64_t cookie;
	bool attached; /* asked of the kernel now */
};

/* Fills at most max; returns how many namespaces there are. */
size_t coverage_namespaces(const struct coverage *coverage, struct coverage_netns *namespaces,
			   size_t max);

#endif
