/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections under which a peer had no proof, while this charon runs.
 *
 * When charon reauthenticates, restarts or traps, it uses the connection of the old IKE_SA,
 * even if another one was loaded under its name since. So an IKE_SA that this host begins
 * under such a name proves nothing while an IKE_SA without proof exists. A trap policy may
 * keep the old connection as long as charon runs.
 */
#ifndef LATCHD_FEEDS_VICI_UNPROVEN_CONNECTIONS_H
#define LATCHD_FEEDS_VICI_UNPROVEN_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICI_UNPROVEN_CONNECTIONS_BUCKETS 256
#define VICI_UNPROVEN_CONNECTIONS_MAX	  65536

/* Entry for overflow: while it is present, every connection counts as unproven. */
#define VICI_UNPROVEN_CONNECTIONS_REST 0

struct vici_unproven_connection {
	struct vici_unproven_connection *next;
	uint64_t connection;
	unsigned int snapshots_without;
	bool noted, listed; /* since the last snapshot */
	bool traps;
	bool awaited; /* an IKE_SA of the connection ended, maybe the last: more lists show that */
};

struct vici_unproven_connections { /* zeroed before first use */
	struct vici_unproven_connection *buckets[VICI_UNPROVEN_CONNECTIONS_BUCKETS];
	size_t count;
	struct vici_unproven_connection rest;
	bool has_rest;
};

void vici_unproven_clear(struct vici_unproven_connections *connections);
/* An IKE_SA without proof is seen. traps: the connection is unproven as long as charon runs. True:
 * the connection or its traps is new. */
bool vici_unproven_note(struct vici_unproven_connections *connections, uint64_t connection,
			bool traps);
/* A list shows that a connection leaves traps. True: the connection is unproven, and its traps is
 * new. */
bool vici_unproven_trap(struct vici_unproven_connections *connections, uint64_t connection);
/* The entry for the connection: its own or VICI_UNPROVEN_CONNECTIONS_REST. */
uint64_t vici_unproven_stands_for(const struct vici_unproven_connections *connections,
				  uint64_t connection);
/* An IKE_SA of the connection ended. True: more lists may show that it was the last unproven
 * one. */
bool vici_unproven_await(struct vici_unproven_connections *connections, uint64_t connection);
bool vici_unproven_contain(const struct vici_unproven_connections *connections,
			   uint64_t connection);
/* The running snapshot shows an IKE_SA of the connection that is, or may be, unproven. */
void vici_unproven_seen(struct vici_unproven_connections *connections, uint64_t connection);
void vici_unproven_each(const struct vici_unproven_connections *connections,
			void (*each)(void *context, uint64_t connection, bool traps),
			void *context);
/* End of a snapshot. Removes connections without an unproven IKE_SA in two snapshots and the events
 * between. *ended: a connection was removed. True: an awaited connection had no unproven IKE_SA in
 * this snapshot. */
bool vici_unproven_sweep(struct vici_unproven_connections *connections, bool *ended);

#endif
