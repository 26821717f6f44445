/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks of hash maps that others change meanwhile. */
#ifndef LATCHD_MAPS_MAP_WALK_H
#define LATCHD_MAPS_MAP_WALK_H

#include <stddef.h>

/* Non-zero ends the walk. The callback may change the map; key and value are copies. */
typedef int (*map_visit_fn)(void *context, const void *key, const void *value);

/*
 * An entry that stays is seen at least once, one that comes or goes meanwhile
 * perhaps. 0, a negative errno, or what the callback returned. By batches; key
 * by key in a kernel that has no batches for this map.
 */
int map_walk(int map_fd, size_t key_size, size_t value_size, map_visit_fn visit, void *context);

/*
 * Key by key: deletions send it back to the first key, so entries may be seen
 * more than once. -EAGAIN when it was sent back too often to promise anything.
 */
int map_walk_keys(int map_fd, size_t key_size, size_t value_size, map_visit_fn visit,
		  void *context);

#endif
