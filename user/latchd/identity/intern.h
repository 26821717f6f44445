/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pinned hash map of __u32 -> a value whose last four bytes are its CRC-32,
 * with a copy in memory that finds equal values. Indices count from 1 to the
 * map's max_entries. See identities.h for what is kept in it.
 */
#ifndef LATCHD_IDENTITY_INTERN_H
#define LATCHD_IDENTITY_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as were given out last are never dropped: their user may not have stored them yet. */
#define INTERN_RECENT 64

/* Makes equal things equal bytes: unused bytes become 0. -EINVAL for a text without an end. */
typedef int (*intern_canonical_fn)(void *value);

struct intern_entry;

struct intern {
	int map; /* not owned */
	size_t size;
	intern_canonical_fn canonical;
	uint32_t capacity; /* also the largest index */
	uint32_t count;
	bool exhausted;		       /* the owner's: it found hardly anything to drop */
	uint32_t last;		       /* the search for a free index starts after it */
	struct intern_entry **entries; /* by index; 0 stays NULL */
	uint32_t *buckets;	       /* by checksum: the first index of a chain, or 0 */
	uint32_t recent[INTERN_RECENT];
	unsigned int recent_next;
};

/* For values of at most INTERN_VALUE_MAX bytes. 0, -EINVAL for another kind of map, or -ENOMEM. */
#define INTERN_VALUE_MAX 1024
int intern_open(struct intern *table, int map, size_t size, intern_canonical_fn canonical);
void intern_close(struct intern *table);

/* Into an empty table. -EBADMSG for anything that intern_add() never writes. */
int intern_load(struct intern *table);

/* The index of an equal value, else of a new one, in the map already. -ENOSPC when full. */
int intern_add(struct intern *table, const void *value, uint32_t *ret_index);

/* 0 for a value that is not there, or that has no canonical form. */
uint32_t intern_find(const struct intern *table, const void *value);

/* NULL for an index that is not there. Valid until it is dropped. */
const void *intern_get(const struct intern *table, uint32_t index);

/* keep has capacity + 1 places. */
void intern_mark_recent(const struct intern *table, bool *keep);
/* What the map does not let go stays in the copy, too. */
void intern_drop_others(struct intern *table, const bool *keep);

/* Empties the map and the copy. 0 or a negative errno. */
int intern_clear(struct intern *table);
/* Empties a map that was never loaded. */
int intern_erase_map(int map);

#endif
