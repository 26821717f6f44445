/* SPDX-License-Identifier: BSD-2-Clause */
/* The properties by which the kernel chooses between the SAs of a CHILD_SA and others. */
#ifndef LATCHD_SA_BINDING_CHILD_WAY_H
#define LATCHD_SA_BINDING_CHILD_WAY_H

#include "latchd/sa/binding/binding_parts.h"

/*
 * Finds child->way from the kernel's SAs, or from the report for an SA that is not installed
 * yet. The params are known. 0. Or a negative errno, with child->way unchanged.
 */
int child_way_find(const struct binding *binding, struct child_sa *child);

/* Is the way of the CHILD_SA also the way of this SA? The SA may be later than the way. */
bool child_way_fits(const struct child_sa_end *end, const struct latch_sa *sa);

#endif
