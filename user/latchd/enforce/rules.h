/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the rules to the map of the programs. All programs, also those of an earlier latchd, see
 * a change whole or not at all. The list goes to the half of the map that no program reads. Then
 * LATCH_CONTROL_RULES puts that half in force with one store. A latchd that is killed before this
 * store has changed nothing.
 */
#ifndef LATCHD_ENFORCE_RULES_H
#define LATCHD_ENFORCE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "latch_abi.h"
#include "latchd/config/config.h"
#include "latchd/maps/kernel_maps.h"

/* The change of rules_load(), for rules_undo(). */
struct rules_change {
	bool made;
	__u32 count_before;
};

/*
 * Puts the rules of config in force. all_sockets: the cgroup is the root, so that each rule gets
 * LATCH_RULE_SOCKETLESS. Rules equal to those in force change nothing. 0, or a negative errno and
 * nothing changed.
 */
int rules_load(const struct kernel_maps *maps, const struct config *config, bool all_sockets,
	       struct rules_change *ret);
/* Puts the former rules in force again; their half is unchanged. 0 or a negative errno. */
int rules_undo(const struct kernel_maps *maps, const struct rules_change *change);

/* Reads the rule_set that latches created now get. 0 or a negative errno. */
int rules_in_force(const struct kernel_maps *maps, __u8 *ret_set);

#endif
