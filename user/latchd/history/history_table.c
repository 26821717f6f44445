/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/history/history_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/flow_query.h"

/* Searches read this array only, since peers choose the rate of events. */
struct place {
	uint64_t latch_id;
	uint64_t flow_hash;
	uint64_t last_ns;
	uint8_t group;
	bool used;
};

/* The first places are for the host's namespaces. */
struct part {
	struct place places[HISTORY_RECORDS];
	struct history_record records[HISTORY_RECORDS];
	uint16_t members[HISTORY_GROUPS]; /* of the host's */
	uint64_t replaced[2];		  /* host, foreign */
};

struct history_table {
	struct keyed_hash_key key;
	struct part parts[HISTORY_KINDS];
};

struct range {
	size_t begin, end;
};

#define HOST_RECORDS (HISTORY_RECORDS - HISTORY_FOREIGN)
_Static_assert(HISTORY_GROUPS < HOST_RECORDS, "a group of one record is never the largest");

static struct range range_of(bool foreign)
{
	return foreign ? (struct range){HOST_RECORDS, HISTORY_RECORDS}
		       : (struct range){0, HOST_RECORDS};
}

struct history_table *history_table_new(void)
{
	struct history_table *table = calloc(1, sizeof(*table));

	if (table && keyed_hash_new_key(&table->key)) {
		free(table);
		return NULL;
	}
	return table;
}

void history_table_free(struct history_table *table)
{
	free(table);
}

uint8_t history_table_group(const struct history_table *table, const void *bytes, size_t length)
{
	return (uint8_t)(1 + keyed_hash(&table->key, bytes, length) % (HISTORY_GROUPS - 1));
}

static uint64_t hash_of(const struct history_table *table, const struct latch_flow *flow)
{
	return keyed_hash(&table->key, flow, sizeof(*flow));
}

/* ---- which record gives its place to a new one */

static size_t largest_group(const struct part *part)
{
	size_t group, largest = 0;

	for (group = 1; group < HISTORY_GROUPS; group++)
		if (part->members[group] > part->members[largest])
			largest = group;
	return largest;
}

static size_t oldest(const struct part *part, bool foreign)
{
	const struct range range = range_of(foreign);
	size_t group = foreign ? 0 : largest_group(part), i, found = range.end;

	for (i = range.begin; i < range.end; i++) {
		if (!foreign && part->places[i].group != group)
			continue;
		if (found == range.end || part->places[i].last_ns < part->places[found].last_ns)
			found = i;
	}
	return found;
}

static size_t free_place(const struct part *part, bool foreign)
{
	const struct range range = range_of(foreign);
	size_t i;

	for (i = range.begin; i < range.end && part->places[i].used; i++)
		;
	return i;
}

static void give_up(struct part *part, size_t at)
{
	if (at < HOST_RECORDS)
		part->members[part->places[at].group]--;
	part->places[at] = (struct place){0};
}

struct history_record *history_table_add(struct history_table *table, enum history_kind kind,
					 uint64_t latch_id, const struct latch_flow *flow,
					 uint8_t group, bool foreign)
{
	struct part *part = &table->parts[kind];
	size_t at = free_place(part, foreign);
	struct history_record *record;

	if (at == range_of(foreign).end) {
		at = oldest(part, foreign);
		give_up(part, at);
		part->replaced[foreign]++;
	}
	part->places[at] = (struct place){
		.latch_id = latch_id,
		.flow_hash = hash_of(table, flow),
		.group = group,
		.used = true,
	};
	if (!foreign)
		part->members[group]++;
	record = &part->records[at];
	memset(record, 0, sizeof(*record));
	record->kind = kind;
	record->latch_id = latch_id;
	record->flow = *flow;
	return record;
}

void history_table_regroup(struct history_table *table, const struct history_record *record,
			   uint8_t group)
{
	struct part *part = &table->parts[record->kind];
	size_t at = (size_t)(record - part->records);

	if (at < HOST_RECORDS) {
		part->members[part->places[at].group]--;
		part->members[group]++;
	}
	part->places[at].group = group;
}

void history_table_remove(struct history_table *table, struct history_record *record)
{
	struct part *part = &table->parts[record->kind];

	give_up(part, (size_t)(record - part->records));
}

void history_table_touch(struct history_table *table, const struct history_record *record)
{
	struct part *part = &table->parts[record->kind];

	part->places[record - part->records].last_ns = record->last_ns;
}

/* ---- searches */

struct history_record *history_table_find_id(struct history_table *table, enum history_kind kind,
					     uint64_t latch_id)
{
	struct part *part = &table->parts[kind];
	size_t i;

	for (i = 0; i < HISTORY_RECORDS; i++)
		if (part->places[i].used && part->places[i].latch_id == latch_id)
			return &part->records[i];
	return NULL;
}

static bool is_of(const struct part *part, size_t at, const struct latch_flow *flow, uint64_t hash)
{
	const struct place *place = &part->places[at];

	if (!place->used || (flow->local_port && place->flow_hash != hash))
		return false;
	return flow_query_matches(flow, &part->records[at].flow);
}

struct history_record *history_table_find_flow(struct history_table *table, enum history_kind kind,
					       const struct latch_flow *flow)
{
	struct part *part = &table->parts[kind];
	uint64_t hash = hash_of(table, flow);
	size_t i, found = HISTORY_RECORDS;

	for (i = 0; i < HISTORY_RECORDS; i++)
		if (is_of(part, i, flow, hash) &&
		    (found == HISTORY_RECORDS ||
		     part->places[i].last_ns > part->places[found].last_ns))
			found = i;
	return found < HISTORY_RECORDS ? &part->records[found] : NULL;
}

uint64_t history_table_replaced(const struct history_table *table, enum history_kind kind,
				bool foreign)
{
	return table->parts[kind].replaced[foreign];
}
