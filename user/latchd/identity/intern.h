/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pinned hash map of __u32 index -> value, with a copy in memory that finds equal
 * values. The last four bytes of a value are its CRC-32. Indices count from 1 to
 * the map's max_entries. identities.h has the two users.
 */
#ifndef LATCHD_IDENTITY_INTERN_H
#define LATCHD_IDENTITY_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The last returned indices are never dropped: their user may not have stored them yet. */
#define INTERN_RECENT 64

/* Makes equal values equal in all bytes: unused bytes become 0. -EINVAL for an unterminated text.
 */
typedef int (*intern_canonical_fn)(void *value);

struct intern_entry;

struct intern {
	int map;     /* not owned */
	size_t size; /* bytes of a value */
	intern_canonical_fn canonical;
	/* Called before a new entry is written under this index. An error: it is not. May be NULL.
	 */
	int (*before)(void *context, uint32_t index);
	void *context;	   /* of before */
	uint32_t capacity; /* also the largest index */
	uint32_t count;
	bool exhausted; /* set and cleared by the owner: a collection found almost nothing */
	uint32_t last;	/* the search for a free index starts after this one */
	struct intern_entry **entries; /* by index; 0 stays NULL */
	uint32_t *buckets;	       /* by checksum: the first index of a chain, or 0 */
	uint32_t recent[INTERN_RECENT];
	unsigned int recent_next;
};

/* For values of at most INTERN_VALUE_MAX bytes. 0, -EINVAL for a map of another kind, -ENOMEM, or
 * another negative errno. After an error: intern_close(). */
#define INTERN_VALUE_MAX 1024
int intern_open(struct intern *table, int map, size_t size, intern_canonical_fn canonical);
void intern_close(struct intern *table);

/* Reads the map into an empty table. -EBADMSG for an entry that intern_add() never writes. */
int intern_load(struct intern *table);

/* Compares map and copy. -EBADMSG if an entry differs, is missing, or is in the map only. */
int intern_check(const struct intern *table);

/* Returns the index of an equal value, or of a new one, which is in the map by then. -ENOSPC when
 * full. */
int intern_add(struct intern *table, const void *value, uint32_t *ret_index);

/* 0 for an unknown value, or a value without a canonical form. */
uint32_t intern_find(const struct intern *table, const void *value);

/* NULL for an unknown index. Valid until the entry is dropped. */
const void *intern_get(const struct intern *table, uint32_t index);

/* keep has capacity + 1 elements, by index. */
void intern_mark_recent(const struct intern *table, bool *keep);
/* Drops all entries without keep. An entry that the map does not delete stays in the copy. */
void intern_drop_others(struct intern *table, const bool *keep);

/* Empties the map and the copy. 0 or a negative errno. */
int intern_clear(struct intern *table);

#endif
