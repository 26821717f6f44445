/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel goes by when it chooses between the SAs of a CHILD_SA and others. */
#ifndef LATCHD_SA_BINDING_CHILD_WAY_H
#define LATCHD_SA_BINDING_CHILD_WAY_H

#include "latchd/sa/binding/binding_parts.h"

/*
 * Of the kernel's SAs; as reported, where one is not there yet. The params are known. 0 or a
 * negative errno, and child->way as it was.
 */
int child_way_find(const struct binding *binding, struct child_sa *child);

/* Was the way that the CHILD_SA counts with found for this SA, too? It may be later. */
bool child_way_fits(const struct child_sa_end *end, const struct latch_sa *sa);

#endif
