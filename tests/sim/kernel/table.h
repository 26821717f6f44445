/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maps of the simulated kernel. As in the preallocated hash maps of the kernel, an element
 * keeps its address, and a new entry takes the place of a deleted one.
 */
#ifndef LATCHD_SIM_TABLE_H
#define LATCHD_SIM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum table_id {
	TABLE_LATCHES,
	TABLE_ASSOCIATIONS,
	TABLE_SAS,
	TABLE_PARAMS,
	TABLE_IDENTITIES,
	TABLE_OWN_KEYS,
	TABLE_RULES,
	TABLE_SETTINGS,
	TABLE_AUDITS,
	TABLE_CLOCK,
	TABLE_DROPS,
	TABLE_COUNTERS,
	TABLE_REFUSALS,
	TABLE_SPD_STAMPS,
	TABLE_PAIRS,
	TABLE_SA_SHARES,
	TABLE_MARK_SHARES,
	TABLE_AUDIT_SHARES,
	TABLE_REASSEMBLIES,
	TABLE_MIXTURES,
	TABLE_FLOW_EPOCHS,
	TABLE_SA_EPOCHS,
	TABLE_PEER_SETS,
	TABLE_PEER_FACTS,
	TABLE_NEWS_TOKENS,
	TABLE_NEWS_SOCKETS,
	TABLES,
};

struct table {
	const char *name;
	uint32_t key_size, value_size, max;
	bool is_array;
	unsigned char *keys, *values;
	bool *used;
};

extern struct table tables[TABLES];

/* Counts what may have changed a table. */
extern unsigned long tables_changes;

void tables_reset(void);
/* NULL, or the value, which stays at its address. */
void *table_find(enum table_id id, const void *key);
/* flags as of bpf_map_update_elem(). 0, -EEXIST, -ENOENT or -E2BIG. */
int table_set(enum table_id id, const void *key, const void *value, uint64_t flags);
int table_delete(enum table_id id, const void *key);
/* The first used place from *at on; false at the end. */
bool table_next(enum table_id id, uint32_t *at);
void *table_key(enum table_id id, uint32_t at);
void *table_value(enum table_id id, uint32_t at);

/* ---- the ring of events */

#define RING_EVENTS 32

void *ring_reserve(void);
void ring_submit(void *event);
/* The oldest event, or NULL. */
const void *ring_first(void);
void ring_pop(void);

#endif
