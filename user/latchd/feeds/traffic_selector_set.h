/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The traffic selectors of one side of a CHILD_SA, each kept as it is, and the "covers" relation of
 * RFC 5660. A set of many selectors has them on the heap, sorted, with a search by addresses.
 */
#ifndef LATCHD_FEEDS_TRAFFIC_SELECTOR_SET_H
#define LATCHD_FEEDS_TRAFFIC_SELECTOR_SET_H

#include "latchd/feeds/traffic_selector.h"

#define TRAFFIC_SELECTOR_INLINE 32 /* a set of more has a list */
/* A TS payload has 255 at most. Further ones of a contradictory key manager widen the last. */
#define TRAFFIC_SELECTOR_MAX 4096

struct traffic_selector_list; /* counts its references */

/* A copy of the structure borrows the list: see traffic_selector_set_hold(). Zeroed: no selector.
 */
struct traffic_selector_set {
	bool covers_all; /* a selector's addresses could not be read: fail closed */
	size_t count;
	struct traffic_selector selector[TRAFFIC_SELECTOR_INLINE]; /* if there is no list */
	struct traffic_selector_list *list;
};

/*
 * Adds a selector. An unknown protocol or port becomes "any". Unreadable addresses, and a lack of
 * memory, set covers_all.
 */
void traffic_selector_set_add(struct traffic_selector_set *set, const char *text, size_t length);

/* After the last one was added. Until then searches take longer. */
void traffic_selector_set_seal(struct traffic_selector_set *set);

/* The maker of a set and each holder release the set once. */
void traffic_selector_set_hold(const struct traffic_selector_set *set);
void traffic_selector_set_release(struct traffic_selector_set *set);

const struct traffic_selector *traffic_selector_set_at(const struct traffic_selector_set *set,
						       size_t number);
bool traffic_selector_sets_equal(const struct traffic_selector_set *a,
				 const struct traffic_selector_set *b);

/* The part that both selectors have in common. False: there is none. */
bool traffic_selector_common(const struct traffic_selector *a, const struct traffic_selector *b,
			     struct traffic_selector *ret);

/* Is this very selector one of the set's? */
bool traffic_selector_set_has(const struct traffic_selector_set *set,
			      const struct traffic_selector *wanted);

/* Is one end of a flow within the set? A set without selectors covers nothing, unless covers_all is
 * set. */
bool traffic_selector_set_covers(const struct traffic_selector_set *set, uint8_t family,
				 uint8_t protocol, const uint8_t address[16], uint16_t port);

/* True and the address if the set covers one address only. */
bool traffic_selector_set_host(const struct traffic_selector_set *set, uint8_t *ret_family,
			       uint8_t ret_address[16]);

/* Is there an end of a flow that both sets cover? looks: NULL, or grows by the selectors that are
 * looked at, and by one for each search. */
bool traffic_selector_sets_overlap(const struct traffic_selector_set *a,
				   const struct traffic_selector_set *b, uint64_t *looks);

/*
 * Visits each part that two selectors, one of either set, have in common. A non-zero result ends
 * the search and is returned. covers_all is not looked at.
 */
typedef int (*traffic_selector_visit_fn)(void *context, const struct traffic_selector *common);
int traffic_selector_sets_common(const struct traffic_selector_set *a,
				 const struct traffic_selector_set *b,
				 traffic_selector_visit_fn visit, void *context);
/* The same for the selectors of one set that have something in common with wanted: visits these. */
int traffic_selector_set_visit(const struct traffic_selector_set *set,
			       const struct traffic_selector *wanted, uint64_t *looks,
			       traffic_selector_visit_fn visit, void *context);

#endif
