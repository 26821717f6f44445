/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/identity/intern.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "latchd/maps/map_walk.h"

#define INTERN_BUCKETS 65536U

struct intern_entry {
	uint32_t next; /* index of the next entry in the chain, or 0 */
	uint32_t bucket;
	unsigned char value[];
};

static size_t checksum_offset(const struct intern *table)
{
	return table->size - sizeof(uint32_t);
}

static uint32_t checksum_of(const struct intern *table, const void *value)
{
	return (uint32_t)crc32(crc32(0, NULL, 0), value, (uInt)checksum_offset(table));
}

/* The value must have its checksum. */
static uint32_t bucket_of(const struct intern *table, const void *value)
{
	uint32_t checksum;

	memcpy(&checksum, (const char *)value + checksum_offset(table), sizeof(checksum));
	return checksum % INTERN_BUCKETS;
}

/* Writes the value as the map stores it: canonical, with its checksum. */
static int make_canonical(const struct intern *table, const void *value, void *out)
{
	uint32_t checksum;
	int err;

	memcpy(out, value, table->size);
	err = table->canonical(out);
	if (err)
		return err;
	checksum = checksum_of(table, out);
	memcpy((char *)out + checksum_offset(table), &checksum, sizeof(checksum));
	return 0;
}

int intern_open(struct intern *table, int map, size_t size, intern_canonical_fn canonical)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);
	int err;

	*table = (struct intern){.map = map, .size = size, .canonical = canonical};
	err = bpf_map_get_info_by_fd(map, &info, &length);
	if (err)
		return err;
	if (info.type != BPF_MAP_TYPE_HASH || info.key_size != sizeof(__u32) ||
	    info.value_size != size || size > INTERN_VALUE_MAX || info.max_entries > UINT16_MAX)
		return -EINVAL;
	table->capacity = info.max_entries;
	table->entries = calloc((size_t)table->capacity + 1, sizeof(*table->entries));
	table->buckets = calloc(INTERN_BUCKETS, sizeof(*table->buckets));
	return table->entries && table->buckets ? 0 : -ENOMEM;
}

static void clear_copy(struct intern *table)
{
	uint32_t i;

	for (i = 0; table->entries && i <= table->capacity; i++) {
		free(table->entries[i]);
		table->entries[i] = NULL;
	}
	if (table->buckets)
		memset(table->buckets, 0, INTERN_BUCKETS * sizeof(*table->buckets));
	memset(table->recent, 0, sizeof(table->recent));
	table->count = 0;
}

void intern_close(struct intern *table)
{
	clear_copy(table);
	free(table->entries);
	free(table->buckets);
	*table = (struct intern){.map = -1};
}

static uint32_t find(const struct intern *table, const void *value)
{
	uint32_t index = table->buckets[bucket_of(table, value)];

	while (index && memcmp(table->entries[index]->value, value, table->size))
		index = table->entries[index]->next;
	return index;
}

static struct intern_entry *entry_new(const struct intern *table, const void *value)
{
	struct intern_entry *entry = malloc(sizeof(*entry) + table->size);

	if (entry) {
		entry->bucket = bucket_of(table, value);
		memcpy(entry->value, value, table->size);
	}
	return entry;
}

static void link_entry(struct intern *table, uint32_t index, struct intern_entry *entry)
{
	entry->next = table->buckets[entry->bucket];
	table->buckets[entry->bucket] = index;
	table->entries[index] = entry;
	table->count++;
}

static void unlink_entry(struct intern *table, uint32_t index)
{
	struct intern_entry *entry = table->entries[index];
	uint32_t *link = &table->buckets[entry->bucket];

	while (*link != index)
		link = &table->entries[*link]->next;
	*link = entry->next;
	table->entries[index] = NULL;
	table->count--;
	free(entry);
}

static int load_one(struct intern *table, uint32_t index)
{
	unsigned char value[INTERN_VALUE_MAX], expected[INTERN_VALUE_MAX];
	struct intern_entry *entry;
	int err;

	err = bpf_map_lookup_elem(table->map, &index, value);
	if (err)
		return err;
	if (!index || index > table->capacity || make_canonical(table, value, expected) ||
	    memcmp(value, expected, table->size) || find(table, value))
		return -EBADMSG;
	entry = entry_new(table, value);
	if (!entry)
		return -ENOMEM;
	link_entry(table, index, entry);
	if (index > table->last)
		table->last = index;
	return 0;
}

int intern_load(struct intern *table)
{
	uint32_t index = 0;
	int err;

	err = bpf_map_get_next_key(table->map, NULL, &index);
	while (!err) {
		err = load_one(table, index);
		if (!err)
			err = bpf_map_get_next_key(table->map, &index, &index);
		else if (err == -ENOENT)
			err = -EBADMSG; /* deleted between the two: another process writes here */
	}
	return err == -ENOENT ? 0 : err;
}

struct check_walk {
	const struct intern *table;
	uint32_t equal; /* entries */
};

static int check_entry(void *context, const void *key, const void *value)
{
	struct check_walk *walk = context;
	const void *copy;
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	copy = intern_get(walk->table, index);
	if (!copy || memcmp(copy, value, walk->table->size))
		return -EBADMSG;
	walk->equal++;
	return 0;
}

int intern_check(const struct intern *table)
{
	struct check_walk walk = {.table = table};
	int err = map_walk(table->map, sizeof(uint32_t), table->size, check_entry, &walk);

	return !err && walk.equal != table->count ? -EBADMSG : err;
}

static uint32_t free_index(const struct intern *table)
{
	uint32_t index = table->last;

	do {
		index = index < table->capacity ? index + 1 : 1;
	} while (table->entries[index]);
	return index;
}

static void add_recent(struct intern *table, uint32_t index)
{
	table->recent[table->recent_next++ % INTERN_RECENT] = index;
}

static int add_new(struct intern *table, const void *value, uint32_t *ret_index)
{
	struct intern_entry *entry;
	uint32_t index;
	int err;

	if (table->count >= table->capacity)
		return -ENOSPC;
	entry = entry_new(table, value);
	if (!entry)
		return -ENOMEM;
	index = free_index(table);
	err = table->before ? table->before(table->context, index) : 0;
	if (!err)
		err = bpf_map_update_elem(table->map, &index, value, BPF_NOEXIST);
	if (err) {
		free(entry);
		return err;
	}
	link_entry(table, index, entry);
	table->last = index;
	*ret_index = index;
	return 0;
}

uint32_t intern_find(const struct intern *table, const void *value)
{
	unsigned char stored[INTERN_VALUE_MAX];

	return make_canonical(table, value, stored) ? 0 : find(table, stored);
}

int intern_add(struct intern *table, const void *value, uint32_t *ret_index)
{
	unsigned char stored[INTERN_VALUE_MAX];
	uint32_t index;
	int err;

	err = make_canonical(table, value, stored);
	if (err)
		return err;
	index = find(table, stored);
	if (!index)
		err = add_new(table, stored, &index);
	if (err)
		return err;
	add_recent(table, index);
	*ret_index = index;
	return 0;
}

const void *intern_get(const struct intern *table, uint32_t index)
{
	if (index > table->capacity || !table->entries[index])
		return NULL;
	return table->entries[index]->value;
}

void intern_mark_recent(const struct intern *table, bool *keep)
{
	size_t i;

	for (i = 0; i < INTERN_RECENT; i++)
		keep[table->recent[i]] = true;
}

void intern_drop_others(struct intern *table, const bool *keep)
{
	uint32_t i;

	for (i = 1; i <= table->capacity; i++)
		if (table->entries[i] && !keep[i] && !bpf_map_delete_elem(table->map, &i))
			unlink_entry(table, i);
}

static int erase_map(int map)
{
	__u32 index;
	int err;

	err = bpf_map_get_next_key(map, NULL, &index);
	while (!err) {
		err = bpf_map_delete_elem(map, &index);
		if (!err)
			err = bpf_map_get_next_key(map, NULL, &index);
	}
	return err == -ENOENT ? 0 : err;
}

int intern_clear(struct intern *table)
{
	int err = erase_map(table->map);

	/* Even after an error: a copy with more than the map would return missing indices. */
	clear_copy(table);
	return err;
}
