/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_grace.h"

#include <stdlib.h>

#include "common/hash.h"
#include "common/loop.h"

struct spd_grace_entry {
	uint64_t id; /* of the latch */
	uint64_t netns;
	uint64_t since_ms;
	unsigned int time_ms; /* length of its grace period, by the last check */
	unsigned int round;   /* the last round that found the latch unprotected */
	UT_hash_handle hh;
};

static struct spd_grace_entry *add(struct spd_grace *grace, uint64_t netns, uint64_t latch_id)
{
	struct spd_grace_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->id = latch_id;
	entry->netns = netns;
	entry->since_ms = loop_now_ms();
	HASH_ADD(hh, grace->by_id, id, sizeof(entry->id), entry);
	return entry;
}

bool spd_grace_is_over(struct spd_grace *grace, uint64_t netns, uint64_t latch_id,
		       unsigned int time_ms)
{
	struct spd_grace_entry *entry;

	HASH_FIND(hh, grace->by_id, &latch_id, sizeof(latch_id), entry);
	if (!entry)
		entry = add(grace, netns, latch_id);
	if (!entry)
		return true;
	entry->round = grace->round;
	entry->time_ms = time_ms;
	return loop_now_ms() - entry->since_ms >= time_ms;
}

static void remove_entry(struct spd_grace *grace, struct spd_grace_entry *entry)
{
	HASH_DEL(grace->by_id, entry);
	free(entry);
}

void spd_grace_end_round(struct spd_grace *grace,
			 bool (*was_checked)(const void *context, uint64_t netns),
			 const void *context)
{
	struct spd_grace_entry *entry, *next;

	HASH_ITER(hh, grace->by_id, entry, next)
	{
		if (entry->round != grace->round && was_checked(context, entry->netns))
			remove_entry(grace, entry);
	}
	grace->round++;
}

void spd_grace_visit(const struct spd_grace *grace, spd_grace_visit_fn visit, void *context)
{
	const struct spd_grace_entry *entry, *next;
	uint64_t passed_ms;

	HASH_ITER(hh, grace->by_id, entry, next)
	{
		passed_ms = loop_now_ms() - entry->since_ms;
		visit(context, entry->netns,
		      passed_ms < entry->time_ms ? (unsigned int)(entry->time_ms - passed_ms) : 0);
	}
}

void spd_grace_release(struct spd_grace *grace)
{
	struct spd_grace_entry *entry, *next;

	HASH_ITER(hh, grace->by_id, entry, next)
	{
		remove_entry(grace, entry);
	}
}
