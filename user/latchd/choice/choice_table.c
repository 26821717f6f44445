/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice_table.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Policies that one question may look at. Beyond, any may decide: a peer chooses selectors. */
#define VISITS_MAX 4096

/* ---- contents */

static int make_room(void **array, size_t count, size_t *capacity, size_t size)
{
	size_t larger = *capacity ? *capacity * 2 : 64;
	void *moved;

	if (count < *capacity)
		return 0;
	moved = reallocarray(*array, larger, size);
	if (!moved)
		return -ENOMEM;
	*array = moved;
	*capacity = larger;
	return 0;
}

int choice_table_add_policy(struct choice_table *table, const struct choice_policy *policy)
{
	int err = make_room((void **)&table->policies, table->count, &table->capacity,
			    sizeof(*table->policies));

	if (!err)
		memcpy(&table->policies[table->count++], policy, sizeof(*policy));
	return err;
}

int choice_table_add_device(struct choice_table *table, uint32_t if_id)
{
	int err = make_room((void **)&table->devices, table->device_count, &table->device_capacity,
			    sizeof(*table->devices));

	if (!err)
		table->devices[table->device_count++] = if_id;
	return err;
}

void choice_table_release(struct choice_table *table)
{
	size_t i;

	for (i = 0; i < CHOICE_DIRECTIONS; i++) {
		free(table->index[i].policies);
		free(table->index[i].reach);
	}
	free(table->policies);
	free(table->devices);
	*table = (struct choice_table){0};
}

/* ---- the index: the policies between two numbers are a tree with the middle one as its root */

static int compare_policies(const void *a, const void *b)
{
	const struct choice_policy *one = *(struct choice_policy *const *)a;
	const struct choice_policy *other = *(struct choice_policy *const *)b;

	if (one->family != other->family)
		return one->family < other->family ? -1 : 1;
	return memcmp(one->remote_low, other->remote_low, sizeof(one->remote_low));
}

/* Families are apart: a policy of the other family has no highest address that counts. */
static const uint8_t *reach_below(struct choice_index *index, size_t begin, size_t end)
{
	size_t middle = begin + (end - begin) / 2;
	const uint8_t *reach = index->policies[middle]->remote_high, *below;

	if (begin < middle) {
		below = reach_below(index, begin, middle);
		reach = memcmp(below, reach, 16) > 0 ? below : reach;
	}
	if (middle + 1 < end) {
		below = reach_below(index, middle + 1, end);
		reach = memcmp(below, reach, 16) > 0 ? below : reach;
	}
	return index->reach[middle] = reach;
}

static int build_index(struct choice_table *table, enum policy_direction direction)
{
	struct choice_index *index = &table->index[direction];
	size_t i;

	free(index->policies);
	free(index->reach);
	index->count = 0;
	index->policies = calloc(table->count + 1, sizeof(*index->policies));
	index->reach = calloc(table->count + 1, sizeof(*index->reach));
	if (!index->policies || !index->reach)
		return -ENOMEM;
	for (i = 0; i < table->count; i++)
		if (table->policies[i].direction == direction)
			index->policies[index->count++] = &table->policies[i];
	if (!index->count)
		return 0;
	qsort(index->policies, index->count, sizeof(*index->policies), compare_policies);
	reach_below(index, 0, index->count);
	return 0;
}

int choice_table_build(struct choice_table *table)
{
	int err = build_index(table, POLICY_OUT);

	return err ? err : build_index(table, POLICY_IN);
}

/* ---- questions */

struct question {
	const struct sa_way *way;
	const struct choice_box *box;
	uint32_t if_id;
	unsigned int visits;
	bool covered;	   /* some policy certainly decides over every flow ... */
	uint32_t priority; /* ... so that none after this priority does */
	bool may_use;
};

typedef void (*visit_fn)(struct question *question, const struct choice_policy *policy);

/* Other families and remote addresses that only the order of families lets in are sorted out later.
 */
static void visit_below(const struct choice_index *index, size_t begin, size_t end,
			struct question *question, visit_fn visit)
{
	const struct traffic_selector *remote = &question->box->remote;
	const struct choice_policy *policy;
	size_t middle = begin + (end - begin) / 2, size = remote->family == AF_INET ? 4 : 16;

	if (begin == end || question->visits > VISITS_MAX ||
	    memcmp(index->reach[middle], remote->low, size) < 0)
		return;
	policy = index->policies[middle];
	visit_below(index, begin, middle, question, visit);
	if (policy->family > remote->family || (policy->family == remote->family &&
						memcmp(policy->remote_low, remote->high, size) > 0))
		return;
	question->visits++;
	if (policy->if_id == question->if_id && choice_policy_touches(policy, question->box))
		visit(question, policy);
	visit_below(index, middle + 1, end, question, visit);
}

static void find_priority(struct question *question, const struct choice_policy *policy)
{
	if (!policy->certain || !choice_policy_covers(policy, question->box))
		return;
	if (!question->covered || policy->priority < question->priority)
		question->priority = policy->priority;
	question->covered = true;
}

/* The kernel's order among equal priorities is not known. */
static void try_policy(struct question *question, const struct choice_policy *policy)
{
	if (!question->covered || policy->priority <= question->priority)
		question->may_use =
			question->may_use || choice_policy_may_use(policy, question->way);
}

static bool may_use(const struct choice_table *table, const struct sa_way *way,
		    const struct choice_box *box, enum policy_direction direction, uint32_t if_id)
{
	const struct choice_index *index = &table->index[direction];
	struct question question = {.way = way, .box = box, .if_id = if_id};

	visit_below(index, 0, index->count, &question, find_priority);
	if (question.visits > VISITS_MAX)
		return true;
	question.visits = 0;
	visit_below(index, 0, index->count, &question, try_policy);
	/* Without a policy packets leave in clear; the kernel accepts SAs in transport mode, or
	 * with offload, which latchd does not know.
	 */
	return question.may_use || question.visits > VISITS_MAX ||
	       (direction == POLICY_IN && !question.covered);
}

static bool is_up(const struct choice_table *table, uint32_t if_id)
{
	size_t i;

	for (i = 0; i < table->device_count; i++)
		if (table->devices[i] == if_id)
			return true;
	return false;
}

static bool are_apart(const struct choice_table *table, uint32_t one, uint32_t other)
{
	return one && other && one != other && is_up(table, one) && is_up(table, other);
}

bool choice_table_tells_apart(const struct choice_table *table, const struct sa_way *one,
			      const struct sa_way *other)
{
	return !table->unreadable && !one->marked && !other->marked &&
	       are_apart(table, one->if_id_in, other->if_id_in) &&
	       are_apart(table, one->if_id_out, other->if_id_out);
}

bool choice_table_may_carry(const struct choice_table *table, const struct sa_way *way,
			    const struct choice_box *box)
{
	if (table->unreadable || way->marked)
		return true;
	if (may_use(table, way, box, POLICY_OUT, way->if_id_out) ||
	    may_use(table, way, box, POLICY_IN, way->if_id_in))
		return true;
	/* Packets under an SA whose device is not up are checked as if it had no id. */
	return way->if_id_in && !is_up(table, way->if_id_in) &&
	       may_use(table, way, box, POLICY_IN, 0);
}
