/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the SPD again after an edit, once the edits have settled, and publishes what has changed.
 * For policy-grace a removed policy may come back. If the SPD cannot be read, the last answers hold
 * for a second.
 */
#include "latchd/choice/choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/choice/choice_parts.h"

#define SETTLE_MS   200 /* after an edit: key managers replace policies in several steps */
#define RETRY_MS    100
#define GIVE_UP_MS  1000 /* of failures: then the namespace counts as never read */
#define TRIES	    6
#define EDIT_GAP_NS 150000000ull /* edits closer than 100 ms to the last have no event */

/* A sum, since the order of the kernel's dump changes. Keyed, since peers choose selectors. */
static uint64_t digest_of(const struct choice *choice, const struct choice_table *table)
{
	uint64_t digest = table->unreadable;
	size_t i;

	for (i = 0; i < table->count; i++)
		digest += keyed_hash(&choice->key, &table->policies[i], sizeof(table->policies[i]));
	for (i = 0; i < table->device_count; i++)
		digest += keyed_hash(&choice->key, &table->devices[i], sizeof(table->devices[i]));
	return digest;
}

/* ---- policies that are gone */

static void plan_to_forget(struct choice *choice)
{
	uint64_t now = loop_now_ms(), next_ms = UINT64_MAX, end_ms;
	struct choice_space *space, *next;

	HASH_ITER(hh, choice->spaces, space, next)
	{
		end_ms = removed_policies_next_ms(&space->removed);
		next_ms = end_ms < next_ms ? end_ms : next_ms;
	}
	if (next_ms == UINT64_MAX)
		loop_timer_cancel(&choice->forget);
	else
		loop_timer_arm(&choice->forget, next_ms > now ? (unsigned int)(next_ms - now) : 0);
}

/* Rivalry of SAs does not depend on removed policies; only conflicts with latches do. */
static void forget_removed(struct choice *choice, struct choice_space *space)
{
	static const struct choice_change latches_only = {.count = 0};

	if (removed_policies_expire(&space->removed, loop_now_ms()))
		choice->changed(choice->context, space->netns, &latches_only);
}

static void on_forget(void *context)
{
	struct choice *choice = context;
	struct choice_space *space, *next;

	HASH_ITER(hh, choice->spaces, space, next)
	{
		if (removed_policies_next_ms(&space->removed) <= loop_now_ms())
			forget_removed(choice, space);
	}
	plan_to_forget(choice);
}

/* If either SPD could not be read, no policy counts as removed. */
static void note_removed(struct choice *choice, struct choice_space *space,
			 const struct choice_table *now)
{
	if (!space->loaded || now->unreadable)
		return;
	removed_policies_update(&space->removed, &space->table, now,
				loop_now_ms() + choice->grace_ms);
	plan_to_forget(choice);
}

void choice_set_grace(struct choice *choice, unsigned int grace_ms)
{
	choice->grace_ms = grace_ms;
}

/* ---- reads */

static void adopt(struct choice *choice, struct choice_space *space, struct choice_table *table,
		  uint64_t digest)
{
	struct choice_change change;

	choice_compare(&space->table, table, &change);
	note_removed(choice, space, table);
	choice_table_release(&space->table);
	space->table = *table;
	space->digest = digest;
	space->loaded = true;
	choice->changed(choice->context, space->netns, &change);
}

static void note_success(struct choice_space *space, uint64_t began_ns)
{
	space->stale = false;
	space->read_ns = began_ns;
	space->failed_ms = 0;
}

/* Until GIVE_UP_MS of failures the answers are those of the last reading. */
static void note_failure(struct choice *choice, struct choice_space *space, int err)
{
	struct choice_table nothing = {.unreadable = true};
	uint64_t now = loop_now_ms();
	unsigned int left_out;

	space->stale = true;
	if (!space->failed_ms)
		space->failed_ms = now;
	if (!loop_timer_armed(&choice->reread))
		loop_timer_arm(&choice->reread, RETRY_MS);
	if (!space->loaded || (err != -ENOENT && now - space->failed_ms < GIVE_UP_MS))
		return;
	adopt(choice, space, &nothing, 0);
	space->loaded = false;
	if (log_limit_admits(&choice->log, &left_out))
		log_warn(NULL,
			 "policies of network namespace %llu not read (%s): SAs "
			 "conflict by their selectors alone; trying again; %u more "
			 "since the last line",
			 (unsigned long long)space->netns, strerror(-err), left_out);
}

static void take(struct choice *choice, struct choice_space *space, struct choice_table *table,
		 uint64_t began_ns)
{
	uint64_t digest = digest_of(choice, table);

	note_success(space, began_ns);
	if (!space->loaded || digest != space->digest)
		adopt(choice, space, table, digest);
	else
		choice_table_release(table);
}

/* The SPD keeps changing: the union of the dumps counts until two dumps are equal. */
static int take_sum(struct choice *choice, struct choice_space *space, struct choice_table *sum,
		    uint64_t began_ns)
{
	int err = choice_table_build(sum);

	if (err) {
		choice_table_release(sum);
		return err;
	}
	take(choice, space, sum, began_ns);
	space->stale = true;
	if (!loop_timer_armed(&choice->reread))
		loop_timer_arm(&choice->reread, RETRY_MS);
	return 0;
}

/* Dumps of one read. */
struct dumps {
	struct choice_table sum;
	uint64_t last; /* digest */
	uint64_t began_ns;
	unsigned int count;
};

/* 1: two dumps in a row are equal. One dump is not enough: a policy that is updated during a dump
 * may be missing from it. */
static int take_dump(struct choice *choice, struct choice_space *space, struct dumps *dumps,
		     struct choice_table *table)
{
	uint64_t digest = digest_of(choice, table);
	int result = 0;

	if (!table->interrupted && ((space->loaded && digest == space->digest) ||
				    (dumps->count && digest == dumps->last))) {
		choice_table_release(&dumps->sum);
		take(choice, space, table, dumps->began_ns);
		return 1;
	}
	dumps->last = digest;
	if (!dumps->count++) {
		dumps->sum = *table;
		return 0;
	}
	result = choice_join(&dumps->sum, table);
	choice_table_release(table);
	return result;
}

/* SAs keep their interface ids when the SPD is flushed, so the devices still tell them apart. */
static int keep_devices(const struct choice *choice, const struct choice_space *space,
			struct choice_table *table)
{
	int err;

	if (table->has_ids || !space->table.has_ids)
		return 0;
	err = choice->source.load_devices(space->netns, table);
	choice_table_sort_devices(table);
	table->has_ids = true;
	if (err == -EINTR) {
		table->interrupted = true;
		err = 0;
	}
	if (err)
		choice_table_release(table);
	return err;
}

static int load(const struct choice *choice, const struct choice_space *space,
		struct choice_table *ret)
{
	int err = choice->source.load(space->netns, ret);

	return err ? err : keep_devices(choice, space, ret);
}

static int read_spd(struct choice *choice, struct choice_space *space)
{
	struct dumps dumps = {.count = 0};
	struct choice_table table;
	int result = 0, i;

	for (i = 0; !result && i < TRIES; i++) {
		dumps.began_ns = clock_boot_ns();
		result = load(choice, space, &table);
		if (!result)
			result = take_dump(choice, space, &dumps, &table);
	}
	if (!result)
		return take_sum(choice, space, &dumps.sum, dumps.began_ns);
	if (result < 0)
		choice_table_release(&dumps.sum);
	return result < 0 ? result : 0;
}

void choice_refresh(struct choice *choice, uint64_t netns)
{
	struct choice_space *space = choice ? choice_space_get(choice, netns) : NULL;
	int err;

	if (!space)
		return;
	walk_pace_begin(&choice->pace);
	err = read_spd(choice, space);
	walk_pace_end(&choice->pace);
	if (err)
		note_failure(choice, space, err);
	if (err == -ENOENT)
		choice_space_remove(choice, space);
}

static bool may_be_edited_after(const struct choice *choice, uint64_t netns, uint64_t at_ns)
{
	uint64_t edited_ns;

	return choice->source.last_edit(choice->source.context, netns, &edited_ns) ||
	       edited_ns + EDIT_GAP_NS >= at_ns;
}

bool choice_is_stale(const struct choice *choice, uint64_t netns)
{
	const struct choice_space *space = choice ? choice_find(choice, netns) : NULL;

	if (!choice)
		return false;
	return !space || space->stale || may_be_edited_after(choice, netns, space->read_ns);
}

bool choice_was_known(struct choice *choice, uint64_t netns, uint64_t at_ns)
{
	const struct choice_space *space = choice ? choice_find(choice, netns) : NULL;

	if (!space || !space->loaded)
		return true;
	if (!choice_is_stale(choice, netns))
		return !may_be_edited_after(choice, netns, at_ns);
	if (!loop_timer_armed(&choice->reread))
		loop_timer_arm(&choice->reread, SETTLE_MS);
	return false;
}

bool choice_may_answer(const struct choice *choice, uint64_t netns)
{
	const struct choice_space *space = choice ? choice_find(choice, netns) : NULL;

	return !space || !space->loaded || !space->failed_ms;
}

bool choice_knows(const struct choice *choice, uint64_t netns)
{
	return choice_find(choice, netns);
}

void choice_refresh_stale(struct choice *choice)
{
	struct choice_space *space, *next;

	if (!choice)
		return;
	HASH_ITER(hh, choice->spaces, space, next)
	{
		if (choice_is_stale(choice, space->netns))
			choice_refresh(choice, space->netns);
	}
}

static void on_reread(void *context)
{
	struct choice *choice = context;
	unsigned int wait_ms = walk_pace_wait_ms(&choice->pace);

	if (wait_ms) {
		loop_timer_arm(&choice->reread, wait_ms);
		return;
	}
	choice_refresh_stale(choice);
	/* An edit right after the last event may have no event of its own, so the SPD is read once
	 * more. */
	if (loop_now_ms() - choice->edited_ms >= SETTLE_MS)
		return;
	choice_events_lost(choice);
}

void choice_edited(struct choice *choice, uint64_t netns)
{
	struct choice_space *space = choice ? choice_find(choice, netns) : NULL;

	if (!space)
		return;
	space->stale = true;
	choice->edited_ms = loop_now_ms();
	if (!loop_timer_armed(&choice->reread))
		loop_timer_arm(&choice->reread, SETTLE_MS);
}

void choice_events_lost(struct choice *choice)
{
	struct choice_space *space, *next;

	if (!choice)
		return;
	HASH_ITER(hh, choice->spaces, space, next)
	{
		space->stale = true;
	}
	if (choice->spaces && !loop_timer_armed(&choice->reread))
		loop_timer_arm(&choice->reread, SETTLE_MS);
}

void choice_spd_reads_start(struct choice *choice)
{
	loop_timer_init(choice->loop, &choice->reread, on_reread, choice);
	loop_timer_init(choice->loop, &choice->forget, on_forget, choice);
}

void choice_spd_reads_end(struct choice *choice)
{
	loop_timer_cancel(&choice->reread);
	loop_timer_cancel(&choice->forget);
}
