/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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

/* Each interface id and family has a tree of its own, so that a search visits one tree only. */
static int compare_trees(const struct choice_policy *one, const struct choice_policy *other)
{
	if (one->if_id != other->if_id)
		return one->if_id < other->if_id ? -1 : 1;
	return (one->family > other->family) - (one->family < other->family);
}

static int compare_ports(const struct choice_policy *one, const struct choice_policy *other)
{
	const uint16_t a[] = {one->local_port, one->local_port_mask, one->remote_port,
			      one->remote_port_mask, one->protocol};
	const uint16_t b[] = {other->local_port, other->local_port_mask, other->remote_port,
			      other->remote_port_mask, other->protocol};

	return memcmp(a, b, sizeof(a));
}

/* Compares the whole selector: peers choose how many policies begin at one remote address. */
static int compare_policies(const void *a, const void *b)
{
	const struct choice_policy *one = *(struct choice_policy *const *)a;
	const struct choice_policy *other = *(struct choice_policy *const *)b;
	int order = compare_trees(one, other);

	order = order ? order : memcmp(one->remote_low, other->remote_low, sizeof(one->remote_low));
	order = order ? order
		      : memcmp(one->remote_high, other->remote_high, sizeof(one->remote_high));
	order = order ? order : memcmp(one->local_low, other->local_low, sizeof(one->local_low));
	order = order ? order : memcmp(one->local_high, other->local_high, sizeof(one->local_high));
	return order ? order : compare_ports(one, other);
}

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

/* The index where wanted's tree begins. later: where it ends. */
static size_t find_bound(const struct choice_index *index, const struct choice_policy *wanted,
			 bool later)
{
	size_t begin = 0, end = index->count, middle;
	int order;

	while (begin < end) {
		middle = begin + (end - begin) / 2;
		order = compare_trees(index->policies[middle], wanted);
		if (order < 0 || (later && !order))
			begin = middle + 1;
		else
			end = middle;
	}
	return begin;
}

bool choice_table_has_selector(const struct choice_table *table, const struct choice_policy *of,
			       struct choice_work *work)
{
	const struct choice_index *index = &table->index[of->direction];
	size_t begin = 0, end = index->count, middle;
	int order = 1;

	while (order && begin < end) {
		middle = begin + (end - begin) / 2;
		order = compare_policies(&index->policies[middle], &of);
		work->done++;
		if (order < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	return !order;
}

static int build_index(struct choice_table *table, enum policy_direction direction)
{
	struct choice_index *index = &table->index[direction];
	size_t i, end;

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
	qsort(index->policies, index->count, sizeof(*index->policies), compare_policies);
	for (i = 0; i < index->count; i = end) {
		end = find_bound(index, index->policies[i], true);
		reach_below(index, i, end);
	}
	return 0;
}

static int compare_devices(const void *a, const void *b)
{
	const uint32_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

void choice_table_sort_devices(struct choice_table *table)
{
	if (table->device_count)
		qsort(table->devices, table->device_count, sizeof(*table->devices),
		      compare_devices);
}

int choice_table_build(struct choice_table *table)
{
	int err = build_index(table, POLICY_OUT);

	choice_table_sort_devices(table);
	return err ? err : build_index(table, POLICY_IN);
}

/* ---- questions */

struct question {
	const struct sa_way *way;
	const struct choice_box *box;
	struct choice_work *work;
	const struct sa_way *own; /* not NULL: only policies that may use such an SA count */
	bool covered;		  /* some policy certainly decides over every flow ... */
	uint32_t priority;	  /* ... so that none after this priority does */
	bool used;		  /* some policy may use the SA; ... */
	uint32_t used_priority;	  /* ... the first one has this priority */
};

bool choice_work_is_over(const struct choice_work *work)
{
	return work->done > work->limit;
}

static void visit(struct question *question, const struct choice_policy *policy)
{
	if (!choice_policy_touches(policy, question->box) ||
	    (question->own && !choice_policy_may_use(policy, question->own)))
		return;
	if (policy->certain && choice_policy_covers(policy, question->box) &&
	    (!question->covered || policy->priority < question->priority)) {
		question->priority = policy->priority;
		question->covered = true;
	}
	if ((!question->used || policy->priority < question->used_priority) &&
	    choice_policy_may_use(policy, question->way)) {
		question->used_priority = policy->priority;
		question->used = true;
	}
}

/* Visits the policies with remote addresses that may overlap with the question's. */
static void visit_below(const struct choice_index *index, size_t begin, size_t end,
			struct question *question)
{
	const struct traffic_selector *remote = &question->box->remote;
	size_t middle = begin + (end - begin) / 2, size = remote->family == AF_INET ? 4 : 16;

	if (begin == end || choice_work_is_over(question->work))
		return;
	question->work->done++;
	if (memcmp(index->reach[middle], remote->low, size) < 0)
		return;
	visit_below(index, begin, middle, question);
	if (memcmp(index->policies[middle]->remote_low, remote->high, size) > 0)
		return;
	visit(question, index->policies[middle]);
	visit_below(index, middle + 1, end, question);
}

static void visit_all(const struct choice_index *index, uint32_t if_id, struct question *question)
{
	const struct choice_policy tree = {.if_id = if_id, .family = question->box->remote.family};

	visit_below(index, find_bound(index, &tree, false), find_bound(index, &tree, true),
		    question);
}

/*
 * latchd does not know the kernel's order among equal priorities. Without a policy packets leave
 * in clear. The kernel then accepts incoming packets under an SA in transport mode, or with
 * offload, which latchd does not see.
 */
static bool may_use(const struct choice_spd *spd, const struct question *asked,
		    enum policy_direction direction, uint32_t if_id)
{
	struct question question = *asked;

	visit_all(&spd->table->index[direction], if_id, &question);
	question.own = spd->own;
	if (spd->own)
		visit_all(&spd->removed->index[direction], if_id, &question);
	if (choice_work_is_over(question.work))
		return true;
	if (question.used && (!question.covered || question.used_priority <= question.priority))
		return true;
	return direction == POLICY_IN && !question.covered;
}

bool choice_table_has_device(const struct choice_table *table, uint32_t if_id)
{
	return table->device_count &&
	       bsearch(&if_id, table->devices, table->device_count, sizeof(if_id), compare_devices);
}

static bool are_apart(const struct choice_table *table, uint32_t one, uint32_t other)
{
	return one && other && one != other && choice_table_has_device(table, one) &&
	       choice_table_has_device(table, other);
}

bool choice_table_tells_apart(const struct choice_table *table, const struct sa_way *one,
			      const struct sa_way *other)
{
	return !table->unreadable && !one->marked && !other->marked &&
	       are_apart(table, one->if_id_in, other->if_id_in) &&
	       are_apart(table, one->if_id_out, other->if_id_out);
}

bool choice_spd_may_carry(const struct choice_spd *spd, const struct sa_way *way,
			  const struct choice_box *box, struct choice_work *work)
{
	const struct question question = {.way = way, .box = box, .work = work};

	work->done++;
	if (spd->table->unreadable || way->marked || choice_work_is_over(work))
		return true;
	if (may_use(spd, &question, POLICY_OUT, way->if_id_out) ||
	    may_use(spd, &question, POLICY_IN, way->if_id_in))
		return true;
	/* The kernel checks packets under an SA without a device that is up as packets without an
	 * interface id. */
	return way->if_id_in && !choice_table_has_device(spd->table, way->if_id_in) &&
	       may_use(spd, &question, POLICY_IN, 0);
}

bool choice_table_may_carry(const struct choice_table *table, const struct sa_way *way,
			    const struct choice_box *box, struct choice_work *work)
{
	const struct choice_spd spd = {.table = table};

	return choice_spd_may_carry(&spd, way, box, work);
}
