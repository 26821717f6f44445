/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IKE_SAs that proved a reboot, and since when each has a CHILD_SA. One pass over all CHILD_SAs
 * serves every latch to the rebooted peers.
 */
#ifndef LATCHD_SA_SUCCESSORS_H
#define LATCHD_SA_SUCCESSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/sa/conflict.h"

struct successor; /* NULL: none */

/* 0 or -ENOMEM. */
int successors_add(struct successor **successors, const struct feed *feed, uint32_t unique_id);
/* 0, or a negative errno: it is not known of all. */
int successors_note_children(struct successor *successors, const struct conflict_view *view);
/* True and the time at which the kernel got the inbound SA of the IKE_SA's oldest CHILD_SA. */
bool successors_find(const struct successor *successors, const struct feed *feed,
		     uint32_t unique_id, uint64_t *ret_installed_ns);
void successors_free(struct successor *successors);

#endif
