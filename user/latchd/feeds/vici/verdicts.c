/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/verdicts.h"

#include <errno.h>
#include <stdlib.h>

#define SNAPSHOTS_WITHOUT 2
/* Each verdict counts in two. Two more are made before a verdict is refused. */
#define SHARES_MAX   (2 * VICI_VERDICTS_CONTINUED + 2)
#define FOLLOWED_MAX 64 /* charon reports a chain of rekeys in order, and never a circle */

struct vici_share {
	struct vici_share *next;
	uint64_t name;
	uint32_t count, entries; /* count: without those that are not counted */
};

struct vici_noted {
	struct vici_noted *next;
	uint32_t ike_unique_id;
	uint32_t followed; /* the IKE_SA that it continues; 0: the verdict counts */
	struct vici_verdict verdict;
	bool counted;
	bool continued; /* by another, which counts in its place */
	struct vici_share *connection, *peer;
	uint64_t snapshot; /* the last one that has seen it */
};

/* ---- memory */

int vici_verdicts_reserve(struct vici_verdicts *verdicts)
{
	if (!verdicts->noted_pool)
		verdicts->noted_pool =
			calloc(VICI_VERDICTS_CONTINUED, sizeof(*verdicts->noted_pool));
	if (!verdicts->share_pool)
		verdicts->share_pool = calloc(SHARES_MAX, sizeof(*verdicts->share_pool));
	return verdicts->noted_pool && verdicts->share_pool ? 0 : -ENOMEM;
}

static void release(struct vici_verdicts *verdicts)
{
	free(verdicts->noted_pool);
	free(verdicts->share_pool);
	verdicts->noted_pool = verdicts->noted_spare = NULL;
	verdicts->share_pool = verdicts->share_spare = NULL;
	verdicts->noted_used = verdicts->shares_used = 0;
}

static struct vici_noted *take_noted(struct vici_verdicts *verdicts)
{
	struct vici_noted *noted = verdicts->noted_spare;

	if (noted)
		verdicts->noted_spare = noted->next;
	else if (!vici_verdicts_reserve(verdicts))
		noted = &verdicts->noted_pool[verdicts->noted_used++];
	if (noted)
		*noted = (struct vici_noted){0};
	return noted;
}

static struct vici_share *take_share(struct vici_verdicts *verdicts)
{
	struct vici_share *share = verdicts->share_spare;

	if (share)
		verdicts->share_spare = share->next;
	else if (!vici_verdicts_reserve(verdicts))
		share = &verdicts->share_pool[verdicts->shares_used++];
	if (share)
		*share = (struct vici_share){0};
	return share;
}

/* ---- shares */

/* The place of the pointer to the share, or to the end of its bucket. */
static struct vici_share **share_place(const struct vici_verdicts *verdicts, uint64_t name)
{
	struct vici_share **place;

	place = (struct vici_share **)&verdicts->shares[name % VICI_VERDICTS_BUCKETS];
	while (*place && (*place)->name != name)
		place = &(*place)->next;
	return place;
}

static void drop_unused(struct vici_verdicts *verdicts, uint64_t name)
{
	struct vici_share *share, **place = share_place(verdicts, name);

	share = *place;
	if (!share || share->entries)
		return;
	*place = share->next;
	share->next = verdicts->share_spare;
	verdicts->share_spare = share;
}

static bool has_room(const struct vici_verdicts *verdicts, uint64_t name, uint32_t limit)
{
	const struct vici_share *share = *share_place(verdicts, name);

	return !share || share->count < limit;
}

static struct vici_share *find_or_add_share(struct vici_verdicts *verdicts, uint64_t name)
{
	struct vici_share **place = share_place(verdicts, name);

	if (!*place) {
		*place = take_share(verdicts);
		if (*place)
			(*place)->name = name;
	}
	return *place;
}

static void set_counted(struct vici_verdicts *verdicts, struct vici_noted *noted, bool counted)
{
	int more = counted - noted->counted;

	noted->counted = counted;
	noted->connection->count += more;
	noted->peer->count += more;
	verdicts->counted += more;
}

/* One without room, of an earlier latchd, has its verdict all the same. */
static void count_in_shares(struct vici_verdicts *verdicts, struct vici_noted *noted)
{
	if (noted->counted || noted->continued ||
	    noted->connection->count >= VICI_VERDICTS_CONNECTION ||
	    noted->peer->count >= VICI_VERDICTS_PEER)
		return;
	set_counted(verdicts, noted, true);
}

/* ---- verdicts */

/* The place of the pointer to the entry, or to the end of its bucket. */
static struct vici_noted **place_of(const struct vici_verdicts *verdicts, uint32_t ike_unique_id)
{
	struct vici_noted **place;

	place = (struct vici_noted **)&verdicts->buckets[ike_unique_id % VICI_VERDICTS_BUCKETS];
	while (*place && (*place)->ike_unique_id != ike_unique_id)
		place = &(*place)->next;
	return place;
}

static void drop_at(struct vici_verdicts *verdicts, struct vici_noted **place)
{
	struct vici_noted *noted = *place;

	*place = noted->next;
	verdicts->count--;
	verdicts->followers -= noted->followed != 0;
	if (!noted->followed) {
		set_counted(verdicts, noted, false);
		noted->connection->entries--;
		noted->peer->entries--;
		drop_unused(verdicts, noted->verdict.connection);
		drop_unused(verdicts, noted->verdict.peer);
	}
	noted->next = verdicts->noted_spare;
	verdicts->noted_spare = noted;
}

void vici_verdicts_clear(struct vici_verdicts *verdicts)
{
	size_t i;

	for (i = 0; i < VICI_VERDICTS_BUCKETS; i++)
		while (verdicts->buckets[i])
			drop_at(verdicts, &verdicts->buckets[i]);
	release(verdicts);
}

const struct vici_verdict *vici_verdicts_find(struct vici_verdicts *verdicts,
					      uint32_t ike_unique_id)
{
	struct vici_noted *noted = *place_of(verdicts, ike_unique_id);

	if (!noted)
		return NULL;
	noted->snapshot = verdicts->snapshot;
	if (noted->followed)
		return NULL;
	count_in_shares(verdicts, noted);
	return &noted->verdict;
}

uint32_t vici_verdicts_followed(const struct vici_verdicts *verdicts, uint32_t ike_unique_id)
{
	const struct vici_noted *noted = *place_of(verdicts, ike_unique_id);
	unsigned int i;

	for (i = 0; noted && noted->followed && i < FOLLOWED_MAX; i++)
		noted = *place_of(verdicts, noted->followed);
	return noted && !noted->followed ? noted->ike_unique_id : 0;
}

int vici_verdicts_room(const struct vici_verdicts *verdicts, uint64_t connection, uint64_t peer)
{
	if (verdicts->counted >= VICI_VERDICTS_MAX)
		return -E2BIG;
	return has_room(verdicts, connection, VICI_VERDICTS_CONNECTION) &&
			       has_room(verdicts, peer, VICI_VERDICTS_PEER)
		       ? 0
		       : -EDQUOT;
}

static int add(struct vici_verdicts *verdicts, struct vici_noted **place, uint32_t ike_unique_id)
{
	if (verdicts->count == VICI_VERDICTS_CONTINUED)
		return -E2BIG;
	*place = take_noted(verdicts);
	if (!*place)
		return -ENOMEM;
	(*place)->ike_unique_id = ike_unique_id;
	(*place)->snapshot = verdicts->snapshot;
	verdicts->count++;
	return 0;
}

static int find_shares(struct vici_verdicts *verdicts, const struct vici_verdict *verdict,
		       uint32_t peer_max, struct vici_share **ret_connection,
		       struct vici_share **ret_peer)
{
	*ret_connection = find_or_add_share(verdicts, verdict->connection);
	*ret_peer = find_or_add_share(verdicts, verdict->peer);
	if (!*ret_connection || !*ret_peer)
		return -ENOMEM;
	return (*ret_connection)->entries < VICI_VERDICTS_CONNECTION_CONTINUED &&
			       (*ret_peer)->entries < peer_max
		       ? 0
		       : -EDQUOT;
}

static void decide(struct vici_noted *noted, const struct vici_verdict *verdict,
		   struct vici_share *connection, struct vici_share *peer)
{
	noted->followed = 0;
	noted->verdict = *verdict;
	noted->connection = connection;
	noted->peer = peer;
	connection->entries++;
	peer->entries++;
}

static bool is_undecided(const struct vici_noted *noted)
{
	return !noted->followed && noted->verdict.proof == VICI_UNPROVEN_UNNOTED;
}

static int note(struct vici_verdicts *verdicts, uint32_t ike_unique_id,
		const struct vici_verdict *verdict, uint32_t peer_max)
{
	struct vici_noted **place = place_of(verdicts, ike_unique_id);
	struct vici_share *connection, *peer;
	int err;

	if (*place && is_undecided(*place) && verdict->proof != VICI_UNPROVEN_UNNOTED)
		drop_at(verdicts, place);
	place = place_of(verdicts, ike_unique_id);
	if (*place && !(*place)->followed)
		return 0;
	err = find_shares(verdicts, verdict, peer_max, &connection, &peer);
	if (!err && !*place)
		err = add(verdicts, place, ike_unique_id);
	if (!err) {
		verdicts->followers -= (*place)->followed != 0;
		decide(*place, verdict, connection, peer);
	}
	drop_unused(verdicts, verdict->connection);
	drop_unused(verdicts, verdict->peer);
	return err;
}

int vici_verdicts_restore(struct vici_verdicts *verdicts, uint32_t ike_unique_id,
			  const struct vici_verdict *verdict)
{
	return note(verdicts, ike_unique_id, verdict, UINT32_MAX);
}

int vici_verdicts_set(struct vici_verdicts *verdicts, uint32_t ike_unique_id,
		      const struct vici_verdict *verdict)
{
	int err = note(verdicts, ike_unique_id, verdict, VICI_VERDICTS_PEER_CONTINUED);

	if (!err)
		count_in_shares(verdicts, *place_of(verdicts, ike_unique_id));
	return err;
}

int vici_verdicts_inherit(struct vici_verdicts *verdicts, uint32_t ike_unique_id, uint32_t old)
{
	struct vici_noted *former = *place_of(verdicts, old), *noted;
	int err;

	if (!former || former->followed)
		return -ENOENT;
	err = note(verdicts, ike_unique_id, &former->verdict, VICI_VERDICTS_PEER_CONTINUED);
	if (err)
		return err;
	noted = *place_of(verdicts, ike_unique_id);
	if (noted == former)
		return 0;
	set_counted(verdicts, former, false);
	former->continued = true;
	count_in_shares(verdicts, noted);
	return 0;
}

int vici_verdicts_follow(struct vici_verdicts *verdicts, uint32_t ike_unique_id, uint32_t old)
{
	struct vici_noted **place = place_of(verdicts, ike_unique_id), *former;
	int err;

	if (*place || !old)
		return 0;
	if (verdicts->followers == VICI_VERDICTS_FOLLOWERS)
		return -E2BIG;
	/* Of a chain all follow the first one: a peer may rekey any number of times meanwhile. */
	former = *place_of(verdicts, old);
	if (former && former->followed)
		old = former->followed;
	err = add(verdicts, place, ike_unique_id);
	if (err)
		return err;
	(*place)->followed = old;
	verdicts->followers++;
	return 0;
}

static bool has_proof(const struct vici_noted *noted)
{
	return !noted->followed && vici_is_proof(noted->verdict.proof);
}

static void sweep_bucket(struct vici_verdicts *verdicts, struct vici_noted **place,
			 uint32_t *unproven)
{
	while (*place) {
		if (verdicts->snapshot - (*place)->snapshot < SNAPSHOTS_WITHOUT) {
			place = &(*place)->next;
			continue;
		}
		if (!has_proof(*place) && (*place)->ike_unique_id > *unproven)
			*unproven = (*place)->ike_unique_id;
		drop_at(verdicts, place);
	}
}

uint32_t vici_verdicts_sweep(struct vici_verdicts *verdicts)
{
	uint32_t unproven = 0;
	size_t i;

	for (i = 0; i < VICI_VERDICTS_BUCKETS; i++)
		sweep_bucket(verdicts, &verdicts->buckets[i], &unproven);
	verdicts->snapshot++;
	return unproven;
}

void vici_verdicts_each(const struct vici_verdicts *verdicts,
			void (*each)(void *context, uint32_t ike_unique_id,
				     const struct vici_verdict *verdict),
			void *context)
{
	const struct vici_noted *noted;
	size_t i;

	for (i = 0; i < VICI_VERDICTS_BUCKETS; i++)
		for (noted = verdicts->buckets[i]; noted; noted = noted->next)
			if (!noted->followed)
				each(context, noted->ike_unique_id, &noted->verdict);
}
