/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

/* ---- policies in a common order */

/* Policies that differ only in certain are equal. */
static int compare(const struct choice_policy *one, const struct choice_policy *other)
{
	struct choice_policy a, b;

	memcpy(&a, one, sizeof(a));
	memcpy(&b, other, sizeof(b));
	a.certain = b.certain = false;
	return memcmp(&a, &b, sizeof(a));
}

static int compare_pointers(const void *a, const void *b)
{
	return compare(*(struct choice_policy *const *)a, *(struct choice_policy *const *)b);
}

/* NULL: no memory. The caller frees it. */
static struct choice_policy **sort(const struct choice_table *table)
{
	struct choice_policy **sorted = calloc(table->count + 1, sizeof(*sorted));
	size_t i;

	for (i = 0; sorted && i < table->count; i++)
		sorted[i] = &table->policies[i];
	if (sorted)
		qsort(sorted, table->count, sizeof(*sorted), compare_pointers);
	return sorted;
}

struct merge {
	struct choice_policy **one, **other;
	size_t one_left, other_left;
};

/* The next policy of one or both lists; NULL for a list without it. False: there is none. */
static bool merge_next(struct merge *merge, struct choice_policy **ret_one,
		       struct choice_policy **ret_other)
{
	int order;

	*ret_one = *ret_other = NULL;
	if (!merge->one_left && !merge->other_left)
		return false;
	if (!merge->one_left || !merge->other_left)
		order = merge->one_left ? -1 : 1;
	else
		order = compare(*merge->one, *merge->other);
	if (order <= 0) {
		*ret_one = *merge->one++;
		merge->one_left--;
	}
	if (order >= 0) {
		*ret_other = *merge->other++;
		merge->other_left--;
	}
	return true;
}

/* ---- what the dumps have */

/* A device that is missing in one dump may be down: then SAs without a device use its policies. */
static void join_devices(struct choice_table *sum, const struct choice_table *next)
{
	size_t i, kept = 0;

	for (i = 0; i < sum->device_count; i++)
		if (choice_table_has_device(next, sum->devices[i]))
			sum->devices[kept++] = sum->devices[i];
	sum->device_count = kept;
}

static int add_uncertain(struct choice_table *sum, const struct choice_policy *policy)
{
	int err = choice_table_add_policy(sum, policy);

	if (!err)
		sum->policies[sum->count - 1].certain = false;
	return err;
}

/* Additions may move the policies of the sum, so they come last. */
static int join_policies(struct choice_table *sum, const struct choice_table *next)
{
	auto_free struct choice_policy **old = sort(sum), **new = sort(next);
	struct merge merge = {old, new, sum->count, next->count};
	struct choice_policy *one, *other;
	size_t added = 0, i;
	int err = old && new ? 0 : -ENOMEM;

	while (!err && merge_next(&merge, &one, &other)) {
		if (!one)
			new[added++] = other;
		else
			one->certain = one->certain && other && other->certain;
	}
	for (i = 0; !err && i < added; i++)
		err = add_uncertain(sum, new[i]);
	return err;
}

int choice_join(struct choice_table *sum, const struct choice_table *next)
{
	int err = join_policies(sum, next);

	sum->unreadable = sum->unreadable || next->unreadable;
	sum->has_ids = sum->has_ids || next->has_ids;
	join_devices(sum, next);
	return err;
}

/* ---- in what they differ */

int choice_visit_missing(const struct choice_table *one, const struct choice_table *other,
			 choice_policy_fn visit, void *context)
{
	auto_free struct choice_policy **ones = sort(one), **others = sort(other);
	struct merge merge = {ones, others, one->count, other->count};
	struct choice_policy *has, *has_other;
	int result = ones && others ? 0 : -ENOMEM;

	while (!result && merge_next(&merge, &has, &has_other))
		if (!has_other)
			result = visit(context, has);
	return result;
}

static bool of_one_tree(const struct choice_edit *one, const struct choice_edit *other)
{
	return one->if_id == other->if_id && one->family == other->family;
}

static void widen(struct choice_edit *edit, const struct choice_edit *by)
{
	if (memcmp(by->low, edit->low, sizeof(edit->low)) < 0)
		memcpy(edit->low, by->low, sizeof(edit->low));
	if (memcmp(by->high, edit->high, sizeof(edit->high)) > 0)
		memcpy(edit->high, by->high, sizeof(edit->high));
}

static struct choice_edit *find_edit(struct choice_edit *edits, size_t count,
				     const struct choice_edit *like)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (of_one_tree(&edits[i], like))
			return &edits[i];
	return NULL;
}

static int order_edits(const void *a, const void *b)
{
	const struct choice_edit *one = a, *other = b;

	if (one->if_id != other->if_id)
		return one->if_id < other->if_id ? -1 : 1;
	if (one->family != other->family)
		return one->family < other->family ? -1 : 1;
	return memcmp(one->low, other->low, sizeof(one->low));
}

/* The addresses from the end of one edit to the begin of the next: 0 if they meet. */
static unsigned __int128 gap_between(const struct choice_edit *one, const struct choice_edit *next)
{
	unsigned __int128 end = 0, begin = 0;
	size_t i;

	for (i = 0; i < sizeof(one->high); i++) {
		end = end << 8 | one->high[i];
		begin = begin << 8 | next->low[i];
	}
	return begin > end ? begin - end : 0;
}

/* The first of two neighbours with the smallest gap, of one interface id and family; count: none.
 */
static size_t find_nearest(const struct choice_change *change)
{
	unsigned __int128 gap, least = 0;
	size_t i, found = change->count;

	for (i = 0; i + 1 < change->count; i++) {
		if (!of_one_tree(&change->edits[i], &change->edits[i + 1]))
			continue;
		gap = gap_between(&change->edits[i], &change->edits[i + 1]);
		if (found == change->count || gap < least) {
			least = gap;
			found = i;
		}
	}
	return found;
}

/* Makes room. Addresses between two edits become part of a change: those of the smallest gaps. */
static void merge_edits(struct choice_change *change)
{
	struct choice_edit *edits = change->edits;
	size_t nearest;

	qsort(edits, change->count, sizeof(*edits), order_edits);
	while (change->count > CHOICE_EDITS_MAX / 2) {
		nearest = find_nearest(change);
		if (nearest == change->count)
			return;
		widen(&edits[nearest], &edits[nearest + 1]);
		change->count--;
		memmove(&edits[nearest + 1], &edits[nearest + 2],
			(change->count - nearest - 1) * sizeof(*edits));
	}
}

static void add_edit(struct choice_change *change, const struct choice_edit *edit)
{
	struct choice_edit *same;

	if (change->count == CHOICE_EDITS_MAX)
		merge_edits(change);
	if (change->count < CHOICE_EDITS_MAX) {
		change->edits[change->count++] = *edit;
		return;
	}
	same = find_edit(change->edits, change->count, edit);
	if (same)
		widen(same, edit);
	else
		change->everything = true;
}

void choice_change_add(struct choice_change *change, const struct choice_policy *policy)
{
	struct choice_edit edit = {.if_id = policy->if_id, .family = policy->family};

	memcpy(edit.low, policy->remote_low, sizeof(edit.low));
	memcpy(edit.high, policy->remote_high, sizeof(edit.high));
	add_edit(change, &edit);
}

static void compare_policies(const struct choice_table *before, const struct choice_table *after,
			     struct choice_change *change)
{
	auto_free struct choice_policy **old = sort(before), **new = sort(after);
	struct merge merge = {old, new, before->count, after->count};
	struct choice_policy *one, *other;

	change->everything = change->everything || !old || !new;
	while (!change->everything && merge_next(&merge, &one, &other))
		if (!one || !other || one->certain != other->certain)
			choice_change_add(change, one ? one : other);
}

/* Both are sorted. */
static void compare_devices(const struct choice_table *before, const struct choice_table *after,
			    struct choice_change *change)
{
	size_t i = 0, j = 0;
	uint32_t one, other;
	bool is_before, is_after;

	while (!change->everything && (i < before->device_count || j < after->device_count)) {
		is_before = i < before->device_count;
		is_after = j < after->device_count;
		one = is_before ? before->devices[i] : 0;
		other = is_after ? after->devices[j] : 0;
		is_before = is_before && (!is_after || one <= other);
		is_after = is_after && (!is_before || one == other);
		if (is_before != is_after)
			add_edit(change, &(struct choice_edit){.if_id = is_before ? one : other});
		i += is_before;
		j += is_after;
	}
}

void choice_compare(const struct choice_table *before, const struct choice_table *after,
		    struct choice_change *ret)
{
	ret->count = 0;
	ret->everything = before->unreadable || after->unreadable;
	compare_policies(before, after, ret);
	compare_devices(before, after, ret);
}

/* An SA of a device that is not up is checked by the policies without an id, too. */
static bool edit_concerns(const struct choice_edit *edit, const struct sa_way *way, uint8_t family,
			  const uint8_t low[16], const uint8_t high[16])
{
	size_t size = family == AF_INET ? 4 : 16;

	if (edit->if_id && edit->if_id != way->if_id_in && edit->if_id != way->if_id_out)
		return false;
	return !edit->family || (edit->family == family && memcmp(low, edit->high, size) <= 0 &&
				 memcmp(edit->low, high, size) <= 0);
}

bool choice_change_concerns(const struct choice_change *change, const struct sa_way *way,
			    uint8_t family, const uint8_t low[16], const uint8_t high[16])
{
	bool concerns = change->everything;
	size_t i;

	for (i = 0; !concerns && i < change->count; i++)
		concerns = edit_concerns(&change->edits[i], way, family, low, high);
	return concerns;
}
