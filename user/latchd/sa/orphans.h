/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs that an earlier latchd has bound, and that their key manager has not reported to this one. */
#ifndef LATCHD_SA_ORPHANS_H
#define LATCHD_SA_ORPHANS_H

#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/sa/child_sas.h"
#include "latchd/sa/key_managers.h"

#define ORPHANS_FEEDS_MAX 16

struct orphans {
	const struct kernel_maps *maps;
	const struct identities *identities;
	const struct child_sas *child_sas;
	const struct key_managers *key_managers;
	/* Not all of their SAs are marked. */
	const struct feed *left[ORPHANS_FEEDS_MAX];
};

/* They become ORPHAN: they start no latch. 0, or a negative errno: orphans_mark_again(). */
int orphans_mark(struct orphans *orphans, const struct feed *feed);
/* For each feed with unmarked SAs that is not synced. 0 or the first error. */
int orphans_mark_again(struct orphans *orphans);

#endif
