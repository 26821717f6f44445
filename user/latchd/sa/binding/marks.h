/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contested marks of SAs (R-2.3-8): while SAs conflict, neither starts a latch. Marks are set
 * at once, before any other SA is bound. They are cleared at a pace, as a peer can let a conflict
 * of thousands of its SAs come and go.
 */
#ifndef LATCHD_SA_BINDING_MARKS_H
#define LATCHD_SA_BINDING_MARKS_H

#include "latchd/sa/binding/binding_parts.h"

/* 0 or a negative errno: some of its SAs have their former mark, and marks_retry() tries again. */
int marks_write(const struct binding *binding, struct child_sa *child, bool contested);

/*
 * CHILD_SAs have begun or ceased to count. Sets the marks of all CHILD_SAs that now overlap with
 * other params. Clears the marks of all that no longer do, as far as the pace allows. 0, or the
 * error of a mark that is not set.
 */
int marks_update(const struct binding *binding);
/* The same after a turn of comparisons. binding->clear calls it again for the rest. */
int marks_decide(const struct binding *binding);
int marks_retry(const struct binding *binding);

/* Clears marks, as far as the pace allows. binding->clear calls it again for the rest. */
void marks_clear(const struct binding *binding);

#endif
