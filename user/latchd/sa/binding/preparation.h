/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps before a CHILD_SA is bound: its params, its share, and the marks of all SAs that it
 * contests. Refuses a CHILD_SA beyond the share of its peer. Tells a rekey, which does not wait for
 * the SPD.
 */
#ifndef LATCHD_SA_BINDING_PREPARATION_H
#define LATCHD_SA_BINDING_PREPARATION_H

#include "latchd/sa/binding/binding_parts.h"

/*
 * Finds the params and makes the CHILD_SA count. 0 or a negative errno; ret_up_to_date: there is
 * nothing to bind. -EDQUOT: the share of its peer is full. After another error that is not final
 * the CHILD_SA waits.
 */
int preparation_run(const struct binding *binding, struct child_sa *child, bool *ret_up_to_date);

/*
 * Would the CHILD_SA join a group that counts, as after a rekey? Then the kernel could use it
 * only for the flows of that group.
 */
bool preparation_renews(const struct binding *binding, struct child_sa *child);

/* True: after this error of a bind no retry helps until the report or the kernel changes. */
bool preparation_is_final(int err);

#endif
