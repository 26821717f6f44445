/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections under which a peer had no proof, while this charon runs.
 *
 * charon authenticates again, restarts and traps under the connection of the old IKE_SA,
 * whatever is loaded under its name since. So an IKE_SA that this host begins under such a
 * name proves nothing while an IKE_SA without proof is left. A trap policy may keep the old
 * connection as long as charon runs.
 */
#ifndef LATCHD_FEEDS_VICI_FORMERS_H
#define LATCHD_FEEDS_VICI_FORMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICI_FORMERS_BUCKETS 256
#define VICI_FORMERS_MAX     65536

struct vici_former;

struct vici_formers { /* zeroed before first use */
	struct vici_former *buckets[VICI_FORMERS_BUCKETS];
	size_t count;
	bool all; /* there was no room for one: all connections count */
};

void vici_formers_clear(struct vici_formers *formers);
/* An IKE_SA without proof is seen. traps: for as long as charon runs. True: it is new, or traps is.
 */
bool vici_formers_note(struct vici_formers *formers, uint64_t connection, bool traps);
bool vici_formers_contain(const struct vici_formers *formers, uint64_t connection);
/* The running snapshot shows one. */
void vici_formers_seen(struct vici_formers *formers, uint64_t connection);
void vici_formers_each(const struct vici_formers *formers,
		       void (*each)(void *context, uint64_t connection, bool traps), void *context);
/* A snapshot is complete. A connection of which two snapshots and the events between show none
 * ends. True: this one showed none of some connection, and the next ones may end it. */
bool vici_formers_sweep(struct vici_formers *formers);

#endif
