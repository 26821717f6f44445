/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/keyed_hash.h"
#include "common/log.h"
#include "common/log_limit.h"
#include "common/walk_pace.h"

#define SETTLE_MS   200 /* after an edit: key managers replace policies in several steps */
#define DEVICES_MS  1000
#define RETRY_MS    100
#define GIVE_UP_MS  1000 /* of failures: then nothing is known */
#define TRIES	    6
#define EDIT_GAP_NS 150000000ull /* edits closer than 100 ms to the last have no event */
#define BOXES_MAX   2048	 /* of two claims; beyond, some flow may be of both */

struct choice_space {
	uint64_t netns;
	struct choice_table table;
	uint64_t digest;
	bool loaded, stale;
	uint64_t read_ns;   /* CLOCK_BOOTTIME, before the last successful look */
	uint64_t failed_ms; /* since when; 0: the last look succeeded */
	UT_hash_handle hh;
};

struct choice {
	struct choice_source source;
	choice_changed_fn changed;
	void *context;
	struct choice_space *spaces;
	struct keyed_hash_key key;
	struct loop_timer look, devices;
	struct walk_pace pace;
	uint64_t edited_ms;
	struct log_limit log;
};

static struct choice_space *find(const struct choice *choice, uint64_t netns)
{
	struct choice_space *space;

	HASH_FIND(hh, choice->spaces, &netns, sizeof(netns), space);
	return space;
}

static struct choice_space *find_or_add(struct choice *choice, uint64_t netns)
{
	struct choice_space *space = find(choice, netns);

	if (space)
		return space;
	space = calloc(1, sizeof(*space));
	if (!space)
		return NULL;
	space->netns = netns;
	space->stale = space->table.unreadable = true;
	HASH_ADD(hh, choice->spaces, netns, sizeof(space->netns), space);
	return space;
}

static void remove_space(struct choice *choice, struct choice_space *space)
{
	choice_table_release(&space->table);
	HASH_DELETE(hh, choice->spaces, space);
	free(space);
}

/* ---- looks */

/* In any order: the kernel's dump changes it. A key, as peers choose selectors. */
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

static void adopt(struct choice *choice, struct choice_space *space, struct choice_table *table,
		  uint64_t digest)
{
	choice_table_release(&space->table);
	space->table = *table;
	space->digest = digest;
	space->loaded = true;
	choice->changed(choice->context, space->netns);
}

static void note_success(struct choice_space *space, uint64_t began_ns)
{
	space->stale = false;
	space->read_ns = began_ns;
	space->failed_ms = 0;
}

/* Until then the answers are those of the last look. */
static void note_failure(struct choice *choice, struct choice_space *space, int err)
{
	struct choice_table nothing = {.unreadable = true};
	uint64_t now = loop_now_ms();
	unsigned int left_out;

	space->stale = true;
	if (!space->failed_ms)
		space->failed_ms = now;
	if (!loop_timer_armed(&choice->look))
		loop_timer_arm(&choice->look, RETRY_MS);
	if (!space->loaded || (err != -ENOENT && now - space->failed_ms < GIVE_UP_MS))
		return;
	adopt(choice, space, &nothing, 0);
	space->loaded = false;
	if (log_limit_admits(&choice->log, &left_out))
		log_warn(
			NULL,
			"IPsec policies of network namespace %llu cannot be read (%s): SAs conflict "
			"by their selectors alone; trying again; %u more since the last line",
			(unsigned long long)space->netns, strerror(-err), left_out);
}

/* A policy that is updated during a dump is missing from it: a change is seen twice, or not at all.
 */
static int look(struct choice *choice, struct choice_space *space)
{
	uint64_t digest, previous = 0, began_ns;
	struct choice_table table;
	int err = 0, i;

	for (i = 0; i < TRIES; i++) {
		began_ns = clock_boot_ns();
		err = choice->source.load(space->netns, &table);
		if (err == -EINTR)
			continue;
		if (err)
			return err;
		digest = digest_of(choice, &table);
		if ((space->loaded && digest == space->digest) || (i && digest == previous)) {
			note_success(space, began_ns);
			if (!space->loaded || digest != space->digest)
				adopt(choice, space, &table, digest);
			else
				choice_table_release(&table);
			return 0;
		}
		previous = digest;
		choice_table_release(&table);
	}
	return err ? err : -EAGAIN;
}

void choice_refresh(struct choice *choice, uint64_t netns)
{
	struct choice_space *space = choice ? find_or_add(choice, netns) : NULL;
	int err;

	if (!space)
		return;
	walk_pace_begin(&choice->pace);
	err = look(choice, space);
	walk_pace_end(&choice->pace);
	if (err)
		note_failure(choice, space, err);
	if (err == -ENOENT)
		remove_space(choice, space);
}

bool choice_is_stale(const struct choice *choice, uint64_t netns)
{
	const struct choice_space *space = choice ? find(choice, netns) : NULL;
	uint64_t edited_ns;

	if (!choice)
		return false;
	return !space || space->stale ||
	       choice->source.last_edit(choice->source.context, netns, &edited_ns) ||
	       edited_ns + EDIT_GAP_NS >= space->read_ns;
}

bool choice_may_answer(const struct choice *choice, uint64_t netns)
{
	const struct choice_space *space = choice ? find(choice, netns) : NULL;

	return !space || !space->loaded || !space->failed_ms;
}

bool choice_knows(const struct choice *choice, uint64_t netns)
{
	return find(choice, netns);
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

static void on_look(void *context)
{
	struct choice *choice = context;
	unsigned int wait_ms = walk_pace_wait_ms(&choice->pace);
	struct choice_space *space, *next;

	if (wait_ms) {
		loop_timer_arm(&choice->look, wait_ms);
		return;
	}
	HASH_ITER(hh, choice->spaces, space, next)
	{
		if (space->stale)
			choice_refresh(choice, space->netns);
	}
	/* An edit right after the last event may have no event of its own: then one more look. */
	if (loop_now_ms() - choice->edited_ms >= SETTLE_MS)
		return;
	choice_events_lost(choice);
}

void choice_edited(struct choice *choice, uint64_t netns)
{
	struct choice_space *space = choice ? find(choice, netns) : NULL;

	if (!space)
		return;
	space->stale = true;
	choice->edited_ms = loop_now_ms();
	if (!loop_timer_armed(&choice->look))
		loop_timer_arm(&choice->look, SETTLE_MS);
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
	if (choice->spaces && !loop_timer_armed(&choice->look))
		loop_timer_arm(&choice->look, SETTLE_MS);
}

/* ---- devices come and go without an event */

static bool has_devices(const struct choice_space *space, const struct choice_table *now)
{
	const struct choice_table *known = &space->table;

	return known->device_count == now->device_count &&
	       (!known->device_count || !memcmp(known->devices, now->devices,
						known->device_count * sizeof(*known->devices)));
}

static void check_devices(struct choice *choice, struct choice_space *space)
{
	struct choice_table now = {0};

	if (choice->source.load_devices(space->netns, &now) || !has_devices(space, &now))
		choice_refresh(choice, space->netns);
	choice_table_release(&now);
}

static void on_devices(void *context)
{
	struct choice *choice = context;
	struct choice_space *space, *next;

	HASH_ITER(hh, choice->spaces, space, next)
	{
		if (space->table.has_ids)
			check_devices(choice, space);
	}
	loop_timer_arm(&choice->devices, DEVICES_MS);
}

/* ---- start and end */

struct choice *choice_new(struct loop *loop, const struct choice_source *source,
			  choice_changed_fn changed, void *context)
{
	struct choice *choice = calloc(1, sizeof(*choice));

	if (!choice)
		return NULL;
	if (keyed_hash_new_key(&choice->key)) {
		free(choice);
		return NULL;
	}
	choice->source = *source;
	choice->changed = changed;
	choice->context = context;
	loop_timer_init(loop, &choice->look, on_look, choice);
	loop_timer_init(loop, &choice->devices, on_devices, choice);
	loop_timer_arm(&choice->devices, DEVICES_MS);
	return choice;
}

void choice_free(struct choice *choice)
{
	struct choice_space *space, *next;

	if (!choice)
		return;
	HASH_ITER(hh, choice->spaces, space, next)
	{
		remove_space(choice, space);
	}
	loop_timer_cancel(&choice->look);
	loop_timer_cancel(&choice->devices);
	free(choice);
}

/* ---- answers */

static const struct choice_table *table_of(const struct choice *choice, uint64_t netns)
{
	static const struct choice_table nothing = {.unreadable = true};
	const struct choice_space *space = choice ? find(choice, netns) : NULL;

	return space ? &space->table : &nothing;
}

bool choice_tells_apart(const struct choice *choice, uint64_t netns, const struct sa_way *one,
			const struct sa_way *other)
{
	return choice_table_tells_apart(table_of(choice, netns), one, other);
}

static struct traffic_selector end_of(const struct latch_flow *flow, const uint8_t address[16],
				      uint16_t port)
{
	struct traffic_selector end = {
		.family = flow->family,
		.protocol = flow->protocol,
		.port_low = port,
		.port_high = port,
	};

	memcpy(end.low, address, sizeof(end.low));
	memcpy(end.high, address, sizeof(end.high));
	return end;
}

bool choice_may_carry(const struct choice *choice, const struct sa_way *way,
		      const struct latch_flow *flow)
{
	const struct choice_box box = {
		.local = end_of(flow, flow->local_addr, flow->local_port),
		.remote = end_of(flow, flow->remote_addr, flow->remote_port),
	};

	return choice_table_may_carry(table_of(choice, flow->netns), way, &box);
}

struct pair {
	const struct choice_table *table;
	const struct choice_claim *one, *other;
	struct choice_box box;
	unsigned int boxes;
};

static bool has(const struct traffic_selector_set *set, const struct traffic_selector *wanted)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		if (!memcmp(traffic_selector_set_at(set, i), wanted, sizeof(*wanted)))
			return true;
	return false;
}

/*
 * Equal selectors of two gateways have one policy in the SPD: the key manager installs that of the
 * newest, and keeps the other to itself.
 */
static bool share_a_policy(const struct pair *pair)
{
	const struct traffic_selector *local = &pair->box.local, *remote = &pair->box.remote;

	return has(pair->one->local, local) && has(pair->other->local, local) &&
	       has(pair->one->remote, remote) && has(pair->other->remote, remote);
}

/* Work is counted before anything is left out: peers choose the number of selectors. */
static int with_local(void *context, const struct traffic_selector *local)
{
	struct pair *pair = context;
	const struct traffic_selector *remote = &pair->box.remote;

	if (++pair->boxes > BOXES_MAX)
		return 1;
	if (local->family != remote->family ||
	    (local->protocol && remote->protocol && local->protocol != remote->protocol))
		return 0;
	pair->box.local = *local;
	return share_a_policy(pair) ||
	       (choice_table_may_carry(pair->table, pair->one->way, &pair->box) &&
		choice_table_may_carry(pair->table, pair->other->way, &pair->box));
}

static int with_remote(void *context, const struct traffic_selector *remote)
{
	struct pair *pair = context;

	if (++pair->boxes > BOXES_MAX)
		return 1;
	pair->box.remote = *remote;
	return traffic_selector_sets_common(pair->one->local, pair->other->local, with_local, pair);
}

bool choice_may_both_carry(const struct choice *choice, uint64_t netns,
			   const struct choice_claim *one, const struct choice_claim *other)
{
	struct pair pair = {.table = table_of(choice, netns), .one = one, .other = other};

	if (pair.table->unreadable || one->local->covers_all || one->remote->covers_all ||
	    other->local->covers_all || other->remote->covers_all)
		return true;
	if (choice_table_tells_apart(pair.table, one->way, other->way))
		return false;
	return traffic_selector_sets_common(one->remote, other->remote, with_remote, &pair);
}
