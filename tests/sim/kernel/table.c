/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/table.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "latch_abi.h"
#include "sim.h"

#define LATCHES_MAX    16
#define SAS_MAX	       64
#define IDENTITIES_MAX 64
#define MARKS_MAX      1024
#define SHARES	       16384 /* SA_SHARE_SLOTS of bpf/db/maps.h */
#define SHARE_SIZE     16    /* struct sa_share */
#define EPOCHS	       4008  /* words of struct epochs there */

#define STORE(name, size, count)                                                                   \
	static _Alignas(16) unsigned char name##_keys[count][sizeof(struct latch_flow)];           \
	static _Alignas(16) unsigned char name##_values[count][size];                              \
	static bool name##_used[count]

STORE(latches, sizeof(struct latch), LATCHES_MAX);
STORE(associations, sizeof(struct latch_association), 1);
STORE(sas, sizeof(struct latch_sa), SAS_MAX);
STORE(params, sizeof(struct latch_params), IDENTITIES_MAX);
STORE(identities, sizeof(struct latch_identity), IDENTITIES_MAX);
STORE(own_keys, sizeof(struct latch_own_key), IDENTITIES_MAX);
STORE(rules, sizeof(struct latch_rule), 2 * LATCH_RULES_MAX);
STORE(settings, sizeof(struct latch_settings), 1);
STORE(peer_sets, sizeof(struct latch_peer_sets), 2);
STORE(peer_facts, sizeof(struct latch_peer_facts), IDENTITIES_MAX + 1);
STORE(news_tokens, sizeof(__u64), 1);
STORE(news_sockets, sizeof(struct latch_subscription), 1);
STORE(audits, sizeof(struct latch_audit), 64);
STORE(clock, sizeof(struct latch_clock), 1);
STORE(drops, sizeof(struct latch_drop_count), LATCH_DROP_COUNT);
STORE(counters, sizeof(__u64), LATCH_COUNTER_COUNT);
STORE(refusals, sizeof(__u64), 128);
STORE(spd_stamps, sizeof(__u64), 4);
STORE(pairs, sizeof(__u32), 16);
STORE(sa_shares, SHARE_SIZE, SHARES);
STORE(mark_shares, sizeof(__u64), LATCH_MARK_SHARES);
STORE(audit_shares, sizeof(__u64), LATCH_AUDIT_SHARES);
STORE(marks, sizeof(__u64), 1);
STORE(flow_epochs, EPOCHS * sizeof(__u64), 1);
STORE(sa_epochs, EPOCHS * sizeof(__u64), 1);

#define HASH(name, key)                                                                            \
	{                                                                                          \
#name, key, sizeof(name##_values[0]), sizeof(name##_used), false,                  \
			name##_keys[0], name##_values[0], name##_used                              \
	}
#define ARRAY(name)                                                                                \
	{                                                                                          \
#name, sizeof(__u32), sizeof(name##_values[0]), sizeof(name##_used), true,         \
			name##_keys[0], name##_values[0], name##_used                              \
	}

struct table tables[TABLES] = {
	[TABLE_LATCHES] = HASH(latches, sizeof(struct latch_flow)),
	[TABLE_ASSOCIATIONS] = HASH(associations, sizeof(struct latch_flow)),
	[TABLE_SAS] = HASH(sas, sizeof(struct latch_sa_key)),
	[TABLE_PARAMS] = HASH(params, sizeof(__u32)),
	[TABLE_IDENTITIES] = HASH(identities, sizeof(__u32)),
	[TABLE_OWN_KEYS] = HASH(own_keys, sizeof(__u32)),
	[TABLE_RULES] = ARRAY(rules),
	[TABLE_SETTINGS] = ARRAY(settings),
	[TABLE_AUDITS] = HASH(audits, sizeof(struct latch_audit_key)),
	[TABLE_CLOCK] = ARRAY(clock),
	[TABLE_DROPS] = ARRAY(drops),
	[TABLE_COUNTERS] = ARRAY(counters),
	[TABLE_REFUSALS] = ARRAY(refusals),
	[TABLE_SPD_STAMPS] = HASH(spd_stamps, sizeof(__u64)),
	[TABLE_PAIRS] = HASH(pairs, sizeof(struct latch_pair)),
	[TABLE_SA_SHARES] = ARRAY(sa_shares),
	[TABLE_MARK_SHARES] = ARRAY(mark_shares),
	[TABLE_AUDIT_SHARES] = ARRAY(audit_shares),
	[TABLE_REASSEMBLIES] = ARRAY(marks),
	[TABLE_MIXTURES] = ARRAY(marks),
	[TABLE_FLOW_EPOCHS] = ARRAY(flow_epochs),
	[TABLE_SA_EPOCHS] = ARRAY(sa_epochs),
	[TABLE_PEER_SETS] = ARRAY(peer_sets),
	[TABLE_PEER_FACTS] = ARRAY(peer_facts),
	[TABLE_NEWS_TOKENS] = HASH(news_tokens, sizeof(struct latch_token)),
	[TABLE_NEWS_SOCKETS] = HASH(news_sockets, sizeof(__u64)),
};

unsigned long tables_changes;

static struct {
	struct latch_event events[RING_EVENTS];
	bool ready[RING_EVENTS];
	unsigned int first, count;
} ring;

void tables_reset(void)
{
	size_t i;

	for (i = 0; i < TABLES; i++) {
		memset(tables[i].used, 0, tables[i].max);
		memset(tables[i].values, 0, (size_t)tables[i].max * tables[i].value_size);
	}
	memset(&ring, 0, sizeof(ring));
}

void *table_key(enum table_id id, uint32_t at)
{
	return tables[id].keys + (size_t)at * sizeof(struct latch_flow);
}

void *table_value(enum table_id id, uint32_t at)
{
	return tables[id].values + (size_t)at * tables[id].value_size;
}

bool table_next(enum table_id id, uint32_t *at)
{
	while (*at < tables[id].max && !tables[id].used[*at])
		++*at;
	return *at < tables[id].max;
}

/* max if there is none. */
static uint32_t place_of(enum table_id id, const void *key)
{
	const struct table *table = &tables[id];
	uint32_t at;

	if (table->is_array) {
		memcpy(&at, key, sizeof(at));
		return at < table->max ? at : table->max;
	}
	for (at = 0; table_next(id, &at); at++)
		if (!memcmp(table_key(id, at), key, table->key_size))
			return at;
	return table->max;
}

void *table_find(enum table_id id, const void *key)
{
	uint32_t at = place_of(id, key);

	return at < tables[id].max ? table_value(id, at) : NULL;
}

/* The place depends on the hash of the key in the kernel, and on the seed here. */
static uint32_t free_place(enum table_id id)
{
	const struct table *table = &tables[id];
	uint32_t start = sim_draw(table->max), i;

	for (i = 0; i < table->max; i++)
		if (!table->used[(start + i) % table->max])
			return (start + i) % table->max;
	return table->max;
}

int table_set(enum table_id id, const void *key, const void *value, uint64_t flags)
{
	struct table *table = &tables[id];
	uint32_t at = place_of(id, key);

	tables_changes++;
	if (at < table->max && flags == BPF_NOEXIST)
		return -EEXIST;
	if (at == table->max && (flags == BPF_EXIST || table->is_array))
		return -ENOENT;
	if (at == table->max)
		at = free_place(id);
	if (at == table->max)
		return -E2BIG;
	table->used[at] = true;
	if (!table->is_array)
		memcpy(table_key(id, at), key, table->key_size);
	memcpy(table_value(id, at), value, table->value_size);
	return 0;
}

int table_delete(enum table_id id, const void *key)
{
	uint32_t at = place_of(id, key);

	if (at == tables[id].max || tables[id].is_array)
		return -ENOENT;
	tables_changes++;
	tables[id].used[at] = false;
	return 0;
}

/* ---- the ring */

void *ring_reserve(void)
{
	unsigned int at = (ring.first + ring.count) % RING_EVENTS;

	if (ring.count == RING_EVENTS)
		return NULL;
	ring.count++;
	ring.ready[at] = false;
	return &ring.events[at];
}

void ring_submit(void *event)
{
	ring.ready[(struct latch_event *)event - ring.events] = true;
}

const void *ring_first(void)
{
	return ring.count && ring.ready[ring.first] ? &ring.events[ring.first] : NULL;
}

void ring_pop(void)
{
	ring.first = (ring.first + 1) % RING_EVENTS;
	ring.count--;
}
