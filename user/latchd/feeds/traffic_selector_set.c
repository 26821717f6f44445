/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/traffic_selector_set.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* A family and an address, in an order that memcmp() has. */
struct place {
	uint8_t bytes[17];
};

/*
 * Sealed: sorted by the first place. The selectors between two numbers are a tree with the middle
 * one as its root, and reach is the last place of all of them.
 */
struct traffic_selector_list {
	unsigned int references;
	bool sealed;
	size_t capacity;
	struct traffic_selector *selector;
	struct place *reach;
};

static struct place place_of(uint8_t family, const uint8_t address[16])
{
	struct place place = {.bytes = {family}};

	memcpy(place.bytes + 1, address, family == AF_INET ? 4 : 16);
	return place;
}

static struct place first_place(const struct traffic_selector *selector)
{
	return place_of(selector->family, selector->low);
}

static struct place last_place(const struct traffic_selector *selector)
{
	return place_of(selector->family, selector->high);
}

static int compare(const struct place *one, const struct place *other)
{
	return memcmp(one->bytes, other->bytes, sizeof(one->bytes));
}

const struct traffic_selector *traffic_selector_set_at(const struct traffic_selector_set *set,
						       size_t number)
{
	return set->list ? &set->list->selector[number] : &set->selector[number];
}

/* ---- the list */

void traffic_selector_set_hold(const struct traffic_selector_set *set)
{
	if (set->list)
		set->list->references++;
}

void traffic_selector_set_release(struct traffic_selector_set *set)
{
	struct traffic_selector_list *list = set->list;

	if (list && !--list->references) {
		free(list->selector);
		free(list->reach);
		free(list);
	}
	*set = (struct traffic_selector_set){.covers_all = set->covers_all};
}

static int reserve(struct traffic_selector_list *list, size_t count)
{
	size_t capacity = list->capacity ? list->capacity * 2 : 2 * TRAFFIC_SELECTOR_INLINE;
	struct traffic_selector *selector;
	struct place *reach;

	if (count <= list->capacity)
		return 0;
	selector = reallocarray(list->selector, capacity, sizeof(*selector));
	if (selector)
		list->selector = selector;
	reach = reallocarray(list->reach, capacity, sizeof(*reach));
	if (reach)
		list->reach = reach;
	if (!selector || !reach)
		return -1;
	list->capacity = capacity;
	return 0;
}

static int start_list(struct traffic_selector_set *set)
{
	struct traffic_selector_list *list = calloc(1, sizeof(*list));

	if (!list)
		return -1;
	list->references = 1;
	if (reserve(list, set->count + 1)) {
		free(list->selector);
		free(list->reach);
		free(list);
		return -1;
	}
	memcpy(list->selector, set->selector, set->count * sizeof(*list->selector));
	set->list = list;
	return 0;
}

static int compare_selectors(const void *a, const void *b)
{
	const struct traffic_selector *one = a, *other = b;
	struct place first = first_place(one), others = first_place(other);
	int order = compare(&first, &others);

	return order ? order : memcmp(one, other, sizeof(*one));
}

static struct place seal_below(struct traffic_selector_list *list, size_t begin, size_t end)
{
	size_t middle = begin + (end - begin) / 2;
	struct place reach = last_place(&list->selector[middle]), below;

	if (begin < middle) {
		below = seal_below(list, begin, middle);
		reach = compare(&below, &reach) > 0 ? below : reach;
	}
	if (middle + 1 < end) {
		below = seal_below(list, middle + 1, end);
		reach = compare(&below, &reach) > 0 ? below : reach;
	}
	return list->reach[middle] = reach;
}

void traffic_selector_set_seal(struct traffic_selector_set *set)
{
	if (!set->list || set->list->sealed)
		return;
	qsort(set->list->selector, set->count, sizeof(set->selector[0]), compare_selectors);
	seal_below(set->list, 0, set->count);
	set->list->sealed = true;
}

/* ---- additions */

/* Extends the selector to the smallest one that covers both, of one family. */
static void selector_extend(struct traffic_selector *selector, const struct traffic_selector *by)
{
	if (memcmp(by->low, selector->low, sizeof(by->low)) < 0)
		memcpy(selector->low, by->low, sizeof(by->low));
	if (memcmp(by->high, selector->high, sizeof(by->high)) > 0)
		memcpy(selector->high, by->high, sizeof(by->high));
	if (by->protocol != selector->protocol)
		selector->protocol = 0;
	if (by->port_low < selector->port_low)
		selector->port_low = by->port_low;
	if (by->port_high > selector->port_high)
		selector->port_high = by->port_high;
}

/* Merges into a selector of a full set. Merges two others when all are of the other family. */
static void set_merge(struct traffic_selector_set *set, const struct traffic_selector *selector)
{
	struct traffic_selector *all = set->list->selector;
	size_t i = set->count;

	while (i && all[i - 1].family != selector->family)
		i--;
	if (i) {
		selector_extend(&all[i - 1], selector);
		return;
	}
	selector_extend(&all[set->count - 2], &all[set->count - 1]);
	all[set->count - 1] = *selector;
}

static int set_append(struct traffic_selector_set *set, const struct traffic_selector *selector)
{
	if (!set->list && set->count < TRAFFIC_SELECTOR_INLINE) {
		set->selector[set->count++] = *selector;
		return 0;
	}
	if ((!set->list && start_list(set)) || reserve(set->list, set->count + 1))
		return -1;
	set->list->selector[set->count++] = *selector;
	return 0;
}

void traffic_selector_set_add(struct traffic_selector_set *set, const char *text, size_t length)
{
	struct traffic_selector selector;

	if (traffic_selector_parse_widely(text, length, &selector))
		set->covers_all = true;
	else if (set->count == TRAFFIC_SELECTOR_MAX)
		set_merge(set, &selector);
	else if (set_append(set, &selector))
		set->covers_all = true;
}

bool traffic_selector_sets_equal(const struct traffic_selector_set *a,
				 const struct traffic_selector_set *b)
{
	return a->covers_all == b->covers_all && a->count == b->count &&
	       (!a->count || !memcmp(traffic_selector_set_at(a, 0), traffic_selector_set_at(b, 0),
				     a->count * sizeof(a->selector[0])));
}

/* A sealed list is in order. */
bool traffic_selector_set_has(const struct traffic_selector_set *set,
			      const struct traffic_selector *wanted)
{
	size_t i;

	if (set->list && set->list->sealed)
		return bsearch(wanted, set->list->selector, set->count, sizeof(*wanted),
			       compare_selectors);
	for (i = 0; i < set->count; i++)
		if (!memcmp(traffic_selector_set_at(set, i), wanted, sizeof(*wanted)))
			return true;
	return false;
}

/* ---- searches */

struct search {
	const struct traffic_selector_set *set;
	const struct traffic_selector *wanted;
	struct place first, last; /* of wanted */
	traffic_selector_visit_fn visit;
	void *context;
	uint64_t *looks; /* NULL, or how many selectors were looked at, and searches */
	bool whole;	 /* the visitor gets the selector of the set, not the common part */
};

bool traffic_selector_common(const struct traffic_selector *a, const struct traffic_selector *b,
			     struct traffic_selector *ret)
{
	size_t size = a->family == AF_INET ? 4 : 16;

	if (a->family != b->family || (a->protocol && b->protocol && a->protocol != b->protocol) ||
	    a->port_low > b->port_high || b->port_low > a->port_high ||
	    memcmp(a->low, b->high, size) > 0 || memcmp(b->low, a->high, size) > 0)
		return false;
	*ret = *a;
	ret->protocol = a->protocol ? a->protocol : b->protocol;
	ret->port_low = a->port_low > b->port_low ? a->port_low : b->port_low;
	ret->port_high = a->port_high < b->port_high ? a->port_high : b->port_high;
	memcpy(ret->low, memcmp(a->low, b->low, size) > 0 ? a->low : b->low, size);
	memcpy(ret->high, memcmp(a->high, b->high, size) < 0 ? a->high : b->high, size);
	return true;
}

static int visit_common(const struct search *search, const struct traffic_selector *selector)
{
	struct traffic_selector common;

	if (search->looks)
		++*search->looks;
	return traffic_selector_common(selector, search->wanted, &common)
		       ? search->visit(search->context, search->whole ? selector : &common)
		       : 0;
}

static int search_below(const struct search *search, size_t begin, size_t end)
{
	const struct traffic_selector_list *list = search->set->list;
	size_t middle = begin + (end - begin) / 2;
	struct place first;
	int result;

	if (begin == end || compare(&list->reach[middle], &search->first) < 0)
		return 0;
	result = search_below(search, begin, middle);
	if (result)
		return result;
	first = first_place(&list->selector[middle]);
	if (compare(&first, &search->last) > 0)
		return 0;
	result = visit_common(search, &list->selector[middle]);
	return result ? result : search_below(search, middle + 1, end);
}

static int search_set(struct search *search, const struct traffic_selector *wanted)
{
	size_t i;
	int result = 0;

	if (search->looks)
		++*search->looks;
	search->wanted = wanted;
	search->first = first_place(wanted);
	search->last = last_place(wanted);
	if (search->set->list && search->set->list->sealed)
		return search_below(search, 0, search->set->count);
	for (i = 0; !result && i < search->set->count; i++)
		result = visit_common(search, traffic_selector_set_at(search->set, i));
	return result;
}

static int found(void *context, const struct traffic_selector *common)
{
	(void)context;
	(void)common;
	return 1;
}

bool traffic_selector_set_covers(const struct traffic_selector_set *set, uint8_t family,
				 uint8_t protocol, const uint8_t address[16], uint16_t port)
{
	struct traffic_selector end = {.family = family, .port_low = port, .port_high = port};
	struct search search = {.set = set, .visit = found};

	if (set->covers_all)
		return true;
	end.protocol = protocol;
	memcpy(end.low, address, sizeof(end.low));
	memcpy(end.high, address, sizeof(end.high));
	return search_set(&search, &end);
}

int traffic_selector_set_visit(const struct traffic_selector_set *set,
			       const struct traffic_selector *wanted, uint64_t *looks,
			       traffic_selector_visit_fn visit, void *context)
{
	struct search search = {
		.set = set,
		.visit = visit,
		.context = context,
		.looks = looks,
		.whole = true,
	};

	return search_set(&search, wanted);
}

bool traffic_selector_set_host(const struct traffic_selector_set *set, uint8_t *ret_family,
			       uint8_t ret_address[16])
{
	const struct traffic_selector *first, *selector;
	size_t i;

	if (set->covers_all || !set->count)
		return false;
	first = traffic_selector_set_at(set, 0);
	for (i = 0; i < set->count; i++) {
		selector = traffic_selector_set_at(set, i);
		if (selector->family != first->family ||
		    memcmp(selector->low, first->low, sizeof(first->low)) ||
		    memcmp(selector->high, first->low, sizeof(first->low)))
			return false;
	}
	*ret_family = first->family;
	memcpy(ret_address, first->low, sizeof(first->low));
	return true;
}

/* search: without its set. */
static int search_common(struct search *search, const struct traffic_selector_set *a,
			 const struct traffic_selector_set *b)
{
	const struct traffic_selector_set *few = a->count < b->count ? a : b;
	size_t i;
	int result = 0;

	search->set = few == a ? b : a;
	for (i = 0; !result && i < few->count; i++)
		result = search_set(search, traffic_selector_set_at(few, i));
	return result;
}

bool traffic_selector_sets_overlap(const struct traffic_selector_set *a,
				   const struct traffic_selector_set *b, uint64_t *looks)
{
	struct search search = {.visit = found, .looks = looks};

	return a->covers_all || b->covers_all || search_common(&search, a, b);
}

int traffic_selector_sets_common(const struct traffic_selector_set *a,
				 const struct traffic_selector_set *b,
				 traffic_selector_visit_fn visit, void *context)
{
	struct search search = {.visit = visit, .context = context};

	return search_common(&search, a, b);
}
