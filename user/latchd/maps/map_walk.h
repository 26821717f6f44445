/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks over hash maps that change during the walk. An entry that was deleted meanwhile is passed
 * over; one that cannot be read ends the walk with an error.
 */
#ifndef LATCHD_MAPS_MAP_WALK_H
#define LATCHD_MAPS_MAP_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A non-zero result ends the walk. key and value are copies: the visitor may change the map. */
typedef int (*map_visit_fn)(void *context, const void *key, const void *value);

/*
 * Visits an entry that stays at least once. An entry that is added or deleted meanwhile may be
 * missed. Returns 0, a negative errno, or the visitor's result. Reads batches, or key by key in
 * a kernel without batches for this map.
 */
int map_walk(int map_fd, size_t key_size, size_t value_size, map_visit_fn visit, void *context);

/* The position of a walk in parts. Zeroed before the first part. */
struct map_cursor {
	uint32_t position; /* of the kernel */
	bool begun, ended;
};

/*
 * The next part of such a walk: some 128 entries, with time for other work between two parts. The
 * cursor shows the end. In a kernel without batches for this map the first part is the whole.
 */
int map_walk_part(int map_fd, size_t key_size, size_t value_size, struct map_cursor *cursor,
		  map_visit_fn visit, void *context);

/*
 * The same, key by key. After a deletion the walk restarts at the first key. Entries
 * may come more than once. -EAGAIN: too many restarts, and entries may be missing.
 */
int map_walk_keys(int map_fd, size_t key_size, size_t value_size, map_visit_fn visit,
		  void *context);

#endif
