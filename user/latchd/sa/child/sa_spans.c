/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_spans.h"

#include <string.h>

#include "common/clock.h"

static int compare(const struct sa_place *one, const struct sa_place *other)
{
	return memcmp(one->bytes, other->bytes, sizeof(one->bytes));
}

struct sa_place sa_place_of(uint64_t netns, const uint8_t address[16])
{
	struct sa_place place;
	int i;

	for (i = 0; i < 8; i++)
		place.bytes[i] = (uint8_t)(netns >> (56 - 8 * i));
	memcpy(place.bytes + 8, address, 16);
	return place;
}

const uint8_t *sa_place_address(const struct sa_place *place)
{
	return place->bytes + 8;
}

/* ---- ranges */

static bool measure_all(struct sa_span *span, uint64_t netns)
{
	static const uint8_t lowest[16];
	uint8_t highest[16];

	memset(highest, 0xff, sizeof(highest));
	span->first = sa_place_of(netns, lowest);
	span->last = sa_place_of(netns, highest);
	return true;
}

bool sa_span_measure(struct sa_span *span, const struct traffic_selector_set *set, uint64_t netns,
		     uint8_t family)
{
	const struct traffic_selector *selector;
	struct sa_place first, last;
	bool found = false;
	size_t i;

	if (set->covers_all)
		return measure_all(span, netns);
	for (i = 0; i < set->count; i++) {
		selector = traffic_selector_set_at(set, i);
		if (selector->family != family)
			continue;
		first = sa_place_of(netns, selector->low);
		last = sa_place_of(netns, selector->high);
		if (!found || compare(&first, &span->first) < 0)
			span->first = first;
		if (!found || compare(&last, &span->last) > 0)
			span->last = last;
		found = true;
	}
	return found;
}

bool sa_spans_overlap(const struct sa_span *one, const struct sa_span *other)
{
	return compare(&one->first, &other->last) <= 0 && compare(&other->first, &one->last) <= 0;
}

/* ---- the tree: a heap by weight, in order by first place */

/* splitmix64. Peers choose addresses and the order of insertions, and do not know the seed. */
static uint64_t weight_of(uint64_t seed, uint64_t order)
{
	uint64_t z = seed + order * 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static bool is_before(const struct sa_span *one, const struct sa_span *other)
{
	int order = compare(&one->first, &other->first);

	return order ? order < 0 : one->order < other->order;
}

static void extend_reach(struct sa_span *span, const struct sa_span *below)
{
	if (below && compare(&below->reach, &span->reach) > 0)
		span->reach = below->reach;
}

static void update_reach(struct sa_span *span)
{
	span->reach = span->last;
	extend_reach(span, span->left);
	extend_reach(span, span->right);
}

static void split(struct sa_span *tree, const struct sa_span *at, struct sa_span **ret_before,
		  struct sa_span **ret_after)
{
	if (!tree) {
		*ret_before = *ret_after = NULL;
		return;
	}
	if (is_before(tree, at)) {
		split(tree->right, at, &tree->right, ret_after);
		*ret_before = tree;
	} else {
		split(tree->left, at, ret_before, &tree->left);
		*ret_after = tree;
	}
	update_reach(tree);
}

static struct sa_span *join(struct sa_span *before, struct sa_span *after)
{
	struct sa_span *top;

	if (!before || !after)
		return before ? before : after;
	if (before->weight > after->weight) {
		before->right = join(before->right, after);
		top = before;
	} else {
		after->left = join(before, after->left);
		top = after;
	}
	update_reach(top);
	return top;
}

void sa_spans_insert(struct sa_spans *spans, struct sa_span *span)
{
	struct sa_span *before, *after;

	if (!spans->seed)
		spans->seed = clock_boot_ns();
	span->order = spans->inserted++;
	span->weight = weight_of(spans->seed, span->order);
	span->left = span->right = NULL;
	update_reach(span);
	split(spans->top, span, &before, &after);
	spans->top = join(join(before, span), after);
}

static void remove_below(struct sa_span **tree, struct sa_span *span)
{
	if (*tree == span) {
		*tree = join(span->left, span->right);
		return;
	}
	remove_below(is_before(span, *tree) ? &(*tree)->left : &(*tree)->right, span);
	update_reach(*tree);
}

void sa_spans_remove(struct sa_spans *spans, struct sa_span *span)
{
	remove_below(&spans->top, span);
}

struct search {
	const struct sa_place *first, *last;
	sa_span_visit_fn visit;
	void *context;
};

static int search_below(const struct search *search, const struct sa_span *tree)
{
	int result;

	if (!tree || compare(&tree->reach, search->first) < 0)
		return 0;
	result = search_below(search, tree->left);
	if (result || compare(&tree->first, search->last) > 0)
		return result;
	if (compare(&tree->last, search->first) >= 0)
		result = search->visit(search->context, tree->group);
	return result ? result : search_below(search, tree->right);
}

int sa_spans_search(const struct sa_spans *spans, const struct sa_place *first,
		    const struct sa_place *last, sa_span_visit_fn visit, void *context)
{
	const struct search search = {first, last, visit, context};

	return search_below(&search, spans->top);
}
