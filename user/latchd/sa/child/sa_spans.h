/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ranges of remote addresses, one of each group and family, in a tree by their first address. A
 * search for a range visits overlapping ranges only. Random weights balance the tree.
 */
#ifndef LATCHD_SA_CHILD_SA_SPANS_H
#define LATCHD_SA_CHILD_SA_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/traffic_selector_set.h"

struct sa_group;

/* A namespace and an address, in an order that memcmp() has. */
struct sa_place {
	uint8_t bytes[24];
};

struct sa_span {
	struct sa_group *group; /* NULL: not in the tree */
	struct sa_place first, last;
	struct sa_place reach; /* the last place of all ranges below */
	uint64_t order;	       /* of ranges with the same first place */
	uint64_t weight;
	struct sa_span *left, *right;
};

struct sa_place sa_place_of(uint64_t netns, const uint8_t address[16]);
const uint8_t *sa_place_address(const struct sa_place *place);

/*
 * The smallest range with all addresses of the family in the set, in first and last. False: there
 * are none.
 */
bool sa_span_measure(struct sa_span *span, const struct traffic_selector_set *set, uint64_t netns,
		     uint8_t family);
bool sa_spans_overlap(const struct sa_span *one, const struct sa_span *other);

struct sa_spans { /* zeroed before first use */
	struct sa_span *top;
	uint64_t inserted; /* so far */
	uint64_t seed;
};

void sa_spans_insert(struct sa_spans *spans, struct sa_span *span);
void sa_spans_remove(struct sa_spans *spans, struct sa_span *span);

/* A non-zero result ends the search. The visitor leaves the tree as it is. */
typedef int (*sa_span_visit_fn)(void *context, struct sa_group *group);
int sa_spans_search(const struct sa_spans *spans, const struct sa_place *first,
		    const struct sa_place *last, sa_span_visit_fn visit, void *context);

#endif
