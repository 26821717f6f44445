/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Restores pins of maps that were removed. The maps, with every latch and identity, exist as long
 * as an attached program holds them.
 */
#ifndef LATCHD_ENFORCE_PINS_MAP_PINS_H
#define LATCHD_ENFORCE_PINS_MAP_PINS_H

#include <bpf/libbpf.h>
#include <stdbool.h>

/* True: PINS_LINKS has a link, of this latchd or an earlier one. */
bool map_pins_have_programs(void);

/*
 * Finds a map by its name among the maps of programs with pinned links. Its descriptor, for
 * the caller to close, or a negative errno; -ENOENT: no such program uses the map.
 */
int map_pins_find(const char *name);

/*
 * Makes the program hold all maps of the object, also the maps that only latchd uses. While
 * the program is attached, map_pins_find() finds each map. 0 or a negative errno.
 */
int map_pins_bind(const struct bpf_object *object, int program);

/* Pins maps of a loaded object again if their pin is gone. Returns the number of maps that still
 * have none. */
unsigned int map_pins_keep(const struct bpf_object *object);

#endif
