/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins of maps that were removed. The maps themselves live as long as a program that holds them is
 * attached, and with them every latch and every identity.
 */
#ifndef LATCHD_ENFORCE_PINS_MAP_PINS_H
#define LATCHD_ENFORCE_PINS_MAP_PINS_H

#include <bpf/libbpf.h>
#include <stdbool.h>

/* True: PINS_LINKS has a link, of this latchd or an earlier one. */
bool map_pins_have_programs(void);

/*
 * Finds a map by its name among those of the programs with pinned links. Its descriptor, for
 * the caller to close, or a negative errno; -ENOENT: no such program uses one.
 */
int map_pins_find(const char *name);

/*
 * Makes the program hold all maps of the object, also those that only latchd uses: while it is
 * attached, map_pins_find() finds each. 0 or a negative errno.
 */
int map_pins_bind(const struct bpf_object *object, int program);

/* Pins the maps of a loaded object again where the pin is gone. Returns how many have none still.
 */
unsigned int map_pins_keep(const struct bpf_object *object);

#endif
