/* SPDX-License-Identifier: BSD-2-Clause */
/* Before a CHILD_SA is bound: its params, its share, and the marks of all SAs that it contests. */
#ifndef LATCHD_SA_BINDING_PREPARATION_H
#define LATCHD_SA_BINDING_PREPARATION_H

#include "latchd/sa/binding/binding_parts.h"

/*
 * Finds the params and makes the CHILD_SA count. 0 or a negative errno; ret_up_to_date: there is
 * nothing to bind. -EDQUOT: its peer has its share. Another error that is not final: it waits.
 */
int preparation_run(const struct binding *binding, struct child_sa *child, bool *ret_up_to_date);

/*
 * Is it one more CHILD_SA of a group that counts, as a rekey makes it? Then the kernel could do
 * nothing else with it than with the others.
 */
bool preparation_renews(const struct binding *binding, struct child_sa *child);

/* An error of a bind: no later try helps before the report or the kernel changes. */
bool preparation_is_final(int err);

#endif
