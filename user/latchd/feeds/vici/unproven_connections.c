/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/unproven_connections.h"

#include <stdlib.h>

/* charon makes the next IKE_SA before the old one ends. One list may miss both, two in a row do
 * not. */
#define SNAPSHOTS_WITHOUT 2

static struct vici_unproven_connection **
place_of(const struct vici_unproven_connections *connections, uint64_t connection)
{
	struct vici_unproven_connection **place;

	place = (struct vici_unproven_connection **)&connections
			->buckets[connection % VICI_UNPROVEN_CONNECTIONS_BUCKETS];
	while (*place && (*place)->connection != connection)
		place = &(*place)->next;
	return place;
}

static void drop_at(struct vici_unproven_connections *connections,
		    struct vici_unproven_connection **place)
{
	struct vici_unproven_connection *entry = *place;

	*place = entry->next;
	connections->count--;
	free(entry);
}

void vici_unproven_clear(struct vici_unproven_connections *connections)
{
	size_t i;

	for (i = 0; i < VICI_UNPROVEN_CONNECTIONS_BUCKETS; i++)
		while (connections->buckets[i])
			drop_at(connections, &connections->buckets[i]);
	connections->has_rest = false;
}

/* NULL: the connection has no entry, and there is no entry for overflow. */
static struct vici_unproven_connection *find(const struct vici_unproven_connections *connections,
					     uint64_t connection)
{
	struct vici_unproven_connection *own = *place_of(connections, connection);

	if (own || !connections->has_rest)
		return own;
	return (struct vici_unproven_connection *)&connections->rest;
}

static struct vici_unproven_connection *begin_rest(struct vici_unproven_connections *connections)
{
	connections->rest =
		(struct vici_unproven_connection){.connection = VICI_UNPROVEN_CONNECTIONS_REST};
	connections->has_rest = true;
	return &connections->rest;
}

static struct vici_unproven_connection *add(struct vici_unproven_connections *connections,
					    struct vici_unproven_connection **place,
					    uint64_t connection)
{
	if (connection == VICI_UNPROVEN_CONNECTIONS_REST ||
	    connections->count == VICI_UNPROVEN_CONNECTIONS_MAX)
		return NULL;
	*place = calloc(1, sizeof(**place));
	if (!*place)
		return NULL;
	(*place)->connection = connection;
	connections->count++;
	return *place;
}

bool vici_unproven_note(struct vici_unproven_connections *connections, uint64_t connection,
			bool traps)
{
	struct vici_unproven_connection **place = place_of(connections, connection),
					*entry = *place;
	bool is_new = !entry;

	if (!entry)
		entry = add(connections, place, connection);
	if (!entry) {
		is_new = !connections->has_rest;
		entry = is_new ? begin_rest(connections) : &connections->rest;
	}
	is_new = is_new || (traps && !entry->traps);
	entry->traps = entry->traps || traps;
	entry->noted = true;
	return is_new;
}

bool vici_unproven_trap(struct vici_unproven_connections *connections, uint64_t connection)
{
	struct vici_unproven_connection *entry = find(connections, connection);

	if (!entry || entry->traps)
		return false;
	entry->traps = true;
	return true;
}

uint64_t vici_unproven_stands_for(const struct vici_unproven_connections *connections,
				  uint64_t connection)
{
	return *place_of(connections, connection) ? connection : VICI_UNPROVEN_CONNECTIONS_REST;
}

bool vici_unproven_await(struct vici_unproven_connections *connections, uint64_t connection)
{
	struct vici_unproven_connection *entry = find(connections, connection);

	if (!entry || entry->traps)
		return false;
	entry->awaited = true;
	return true;
}

bool vici_unproven_contain(const struct vici_unproven_connections *connections, uint64_t connection)
{
	return find(connections, connection);
}

void vici_unproven_seen(struct vici_unproven_connections *connections, uint64_t connection)
{
	struct vici_unproven_connection *entry = find(connections, connection);

	if (entry)
		entry->listed = true;
}

void vici_unproven_each(const struct vici_unproven_connections *connections,
			void (*each)(void *context, uint64_t connection, bool traps), void *context)
{
	const struct vici_unproven_connection *entry;
	size_t i;

	for (i = 0; i < VICI_UNPROVEN_CONNECTIONS_BUCKETS; i++)
		for (entry = connections->buckets[i]; entry; entry = entry->next)
			each(context, entry->connection, entry->traps);
	if (connections->has_rest)
		each(context, connections->rest.connection, connections->rest.traps);
}

/* True: the connection ends. */
static bool count(struct vici_unproven_connection *entry, bool *waits)
{
	bool seen = entry->noted || entry->listed;

	entry->awaited = entry->awaited && !entry->listed && !entry->traps;
	*waits = *waits || entry->awaited;
	entry->snapshots_without = seen ? 0 : entry->snapshots_without + 1;
	entry->noted = entry->listed = false;
	return entry->snapshots_without >= SNAPSHOTS_WITHOUT && !entry->traps;
}

static bool sweep_bucket(struct vici_unproven_connections *connections,
			 struct vici_unproven_connection **place)
{
	bool waits = false;

	while (*place) {
		if (count(*place, &waits))
			drop_at(connections, place);
		else
			place = &(*place)->next;
	}
	return waits;
}

bool vici_unproven_sweep(struct vici_unproven_connections *connections, bool *ended)
{
	size_t before = connections->count + connections->has_rest, i;
	bool waits = false;

	for (i = 0; i < VICI_UNPROVEN_CONNECTIONS_BUCKETS; i++)
		waits = sweep_bucket(connections, &connections->buckets[i]) || waits;
	if (connections->has_rest)
		connections->has_rest = !count(&connections->rest, &waits);
	*ended = connections->count + connections->has_rest < before;
	return waits;
}
