/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bound SAs that no list names, as of an earlier latchd. They become ORPHAN and start no latch
 * after the first list of their key manager, at its end, or if it is not configured. Those that are
 * reported become ORPHAN by attribution.c.
 */
#ifndef LATCHD_SA_UNBOUND_ORPHANS_H
#define LATCHD_SA_UNBOUND_ORPHANS_H

#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/sa/child/child_sas.h"
#include "latchd/sa/unbound/key_managers.h"

#define ORPHANS_FEEDS_MAX 64

struct orphans {
	const struct kernel_maps *maps;
	const struct identities *identities;
	const struct child_sas *child_sas;
	const struct key_managers *key_managers;
	/* Feeds with SAs that are not marked yet. */
	const struct feed *left[ORPHANS_FEEDS_MAX];
	const struct feed *configured[ORPHANS_FEEDS_MAX];
	size_t configured_count; /* 0: not known */
	bool unconfigured;	 /* SAs of other feeds may be bound */
};

/* The feed's SAs without a report become ORPHAN: they start no latch. 0. Or a negative errno: call
 * orphans_mark_again() later. */
int orphans_mark(struct orphans *orphans, const struct feed *feed);
/* The feeds of the configuration, at most ORPHANS_FEEDS_MAX. SAs bound by reports of any other feed
 * become ORPHAN by orphans_mark_again(). */
void orphans_configure(struct orphans *orphans, struct feed *const *feeds, size_t count);
/* True: no feed of the configuration has this authority's name. */
bool orphans_is_unconfigured(const struct orphans *orphans, const char *authority);
/* Marks the SAs of unconfigured feeds, and of each feed with unmarked SAs that is not synced. 0 or
 * the first error. */
int orphans_mark_again(struct orphans *orphans);

#endif
