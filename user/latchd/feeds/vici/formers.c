/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/formers.h"

#include <stdlib.h>

/* charon makes the next IKE_SA before the old one ends. One list may miss both, two in a row do
 * not. */
#define SNAPSHOTS_WITHOUT 2

static struct vici_former **place_of(const struct vici_formers *formers, uint64_t connection)
{
	struct vici_former **place;

	place = (struct vici_former **)&formers->buckets[connection % VICI_FORMERS_BUCKETS];
	while (*place && (*place)->connection != connection)
		place = &(*place)->next;
	return place;
}

static void drop_at(struct vici_formers *formers, struct vici_former **place)
{
	struct vici_former *former = *place;

	*place = former->next;
	formers->count--;
	free(former);
}

void vici_formers_clear(struct vici_formers *formers)
{
	size_t i;

	for (i = 0; i < VICI_FORMERS_BUCKETS; i++)
		while (formers->buckets[i])
			drop_at(formers, &formers->buckets[i]);
	formers->has_rest = false;
}

/* NULL: no IKE_SA without proof was seen under the connection, or under one without room. */
static struct vici_former *find(const struct vici_formers *formers, uint64_t connection)
{
	struct vici_former *own = *place_of(formers, connection);

	if (own || !formers->has_rest)
		return own;
	return (struct vici_former *)&formers->rest;
}

static struct vici_former *begin_rest(struct vici_formers *formers)
{
	formers->rest = (struct vici_former){.connection = VICI_FORMERS_REST};
	formers->has_rest = true;
	return &formers->rest;
}

static struct vici_former *add(struct vici_formers *formers, struct vici_former **place,
			       uint64_t connection)
{
	if (connection == VICI_FORMERS_REST || formers->count == VICI_FORMERS_MAX)
		return NULL;
	*place = calloc(1, sizeof(**place));
	if (!*place)
		return NULL;
	(*place)->connection = connection;
	formers->count++;
	return *place;
}

bool vici_formers_note(struct vici_formers *formers, uint64_t connection, bool traps)
{
	struct vici_former **place = place_of(formers, connection), *former = *place;
	bool is_new = !former;

	if (!former)
		former = add(formers, place, connection);
	if (!former) {
		is_new = !formers->has_rest;
		former = is_new ? begin_rest(formers) : &formers->rest;
	}
	is_new = is_new || (traps && !former->traps);
	former->traps = former->traps || traps;
	former->noted = true;
	return is_new;
}

bool vici_formers_trap(struct vici_formers *formers, uint64_t connection)
{
	struct vici_former *former = find(formers, connection);

	if (!former || former->traps)
		return false;
	former->traps = true;
	return true;
}

uint64_t vici_formers_stands_for(const struct vici_formers *formers, uint64_t connection)
{
	return *place_of(formers, connection) ? connection : VICI_FORMERS_REST;
}

bool vici_formers_await(struct vici_formers *formers, uint64_t connection)
{
	struct vici_former *former = find(formers, connection);

	if (!former || former->traps)
		return false;
	former->awaited = true;
	return true;
}

bool vici_formers_contain(const struct vici_formers *formers, uint64_t connection)
{
	return find(formers, connection);
}

void vici_formers_seen(struct vici_formers *formers, uint64_t connection)
{
	struct vici_former *former = find(formers, connection);

	if (former)
		former->listed = true;
}

void vici_formers_each(const struct vici_formers *formers,
		       void (*each)(void *context, uint64_t connection, bool traps), void *context)
{
	const struct vici_former *former;
	size_t i;

	for (i = 0; i < VICI_FORMERS_BUCKETS; i++)
		for (former = formers->buckets[i]; former; former = former->next)
			each(context, former->connection, former->traps);
	if (formers->has_rest)
		each(context, formers->rest.connection, formers->rest.traps);
}

/* True: the connection ends. */
static bool count(struct vici_former *former, bool *waits)
{
	bool seen = former->noted || former->listed;

	former->awaited = former->awaited && !former->listed && !former->traps;
	*waits = *waits || former->awaited;
	former->snapshots_without = seen ? 0 : former->snapshots_without + 1;
	former->noted = former->listed = false;
	return former->snapshots_without >= SNAPSHOTS_WITHOUT && !former->traps;
}

static bool sweep_bucket(struct vici_formers *formers, struct vici_former **place)
{
	bool waits = false;

	while (*place) {
		if (count(*place, &waits))
			drop_at(formers, place);
		else
			place = &(*place)->next;
	}
	return waits;
}

bool vici_formers_sweep(struct vici_formers *formers, bool *ended)
{
	size_t before = formers->count + formers->has_rest, i;
	bool waits = false;

	for (i = 0; i < VICI_FORMERS_BUCKETS; i++)
		waits = sweep_bucket(formers, &formers->buckets[i]) || waits;
	if (formers->has_rest)
		formers->has_rest = !count(&formers->rest, &waits);
	*ended = formers->count + formers->has_rest < before;
	return waits;
}
