/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections under which a peer had no proof, while this charon runs.
 *
 * When charon reauthenticates, restarts or traps, it uses the connection of the old IKE_SA,
 * even if another one was loaded under its name since. So an IKE_SA that this host begins
 * under such a name proves nothing while an IKE_SA without proof exists. A trap policy may
 * keep the old connection as long as charon runs.
 */
#ifndef LATCHD_FEEDS_VICI_FORMERS_H
#define LATCHD_FEEDS_VICI_FORMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICI_FORMERS_BUCKETS 256
#define VICI_FORMERS_MAX     65536

/* Entry for overflow: while it is present, every connection counts as unproven. */
#define VICI_FORMERS_REST 0

struct vici_former {
	struct vici_former *next;
	uint64_t connection;
	unsigned int snapshots_without;
	bool noted, listed; /* since the last snapshot */
	bool traps;
	bool awaited; /* an IKE_SA of the connection ended, maybe the last: more lists show that */
};

struct vici_formers { /* zeroed before first use */
	struct vici_former *buckets[VICI_FORMERS_BUCKETS];
	size_t count;
	struct vici_former rest;
	bool has_rest;
};

void vici_formers_clear(struct vici_formers *formers);
/* An IKE_SA without proof is seen. traps: the connection is unproven as long as charon runs. True:
 * the connection or its traps is new. */
bool vici_formers_note(struct vici_formers *formers, uint64_t connection, bool traps);
/* A list shows that a connection leaves traps. True: the connection is unproven, and its traps is
 * new. */
bool vici_formers_trap(struct vici_formers *formers, uint64_t connection);
/* The entry for the connection: its own or VICI_FORMERS_REST. */
uint64_t vici_formers_stands_for(const struct vici_formers *formers, uint64_t connection);
/* An IKE_SA of the connection ended. True: more lists may show that it was the last unproven
 * one. */
bool vici_formers_await(struct vici_formers *formers, uint64_t connection);
bool vici_formers_contain(const struct vici_formers *formers, uint64_t connection);
/* The running snapshot shows an unproven IKE_SA of the connection. */
void vici_formers_seen(struct vici_formers *formers, uint64_t connection);
void vici_formers_each(const struct vici_formers *formers,
		       void (*each)(void *context, uint64_t connection, bool traps), void *context);
/* End of a snapshot. Removes connections without an unproven IKE_SA in two snapshots and the events
 * between. *ended: a connection was removed. True: an awaited connection had no unproven IKE_SA in
 * this snapshot. */
bool vici_formers_sweep(struct vici_formers *formers, bool *ended);

#endif
