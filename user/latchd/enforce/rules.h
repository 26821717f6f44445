/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules as the programs have them. A change is seen whole or not at all, by an
 * earlier latchd's programs too: the list is written to the half of the map that
 * nobody reads, then LATCH_CONTROL_RULES puts that half in force with one store.
 * Whoever is killed before has changed nothing.
 */
#ifndef LATCHD_ENFORCE_RULES_H
#define LATCHD_ENFORCE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "latch_abi.h"
#include "latchd/config/config.h"
#include "latchd/maps/kernel_maps.h"

/* What rules_load() has changed. */
struct rules_change {
	bool made;
	__u32 count_before;
};

/*
 * The flags of the first rule_count rules get LATCH_RULE_SOCKETLESS when
 * all_sockets, the watched cgroup being the root. The same rules as before change
 * nothing. 0, or a negative errno and nothing changed.
 */
int rules_load(const struct kernel_maps *maps, const struct config *config, bool all_sockets,
	       struct rules_change *ret);
/* The rules from before, whose half nobody has written. 0 or a negative errno. */
int rules_undo(const struct kernel_maps *maps, const struct rules_change *change);

/* What latches that are born now have as rule_set. 0 or a negative errno. */
int rules_in_force(const struct kernel_maps *maps, __u8 *ret_set);

#endif
