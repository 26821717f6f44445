/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/decisions.h"

#include <errno.h>
#include <stdlib.h>

#define SNAPSHOTS_WITHOUT 2
/* Each decision has two shares: connection and peer. Two more are made before a decision is
 * refused. */
#define SHARES_MAX   (2 * VICI_DECISIONS_CONTINUED + 2)
#define FOLLOWED_MAX 64 /* charon reports a chain of rekeys in order, and never a circle */

struct vici_share {
	struct vici_share *next;
	uint64_t name;
	uint32_t count, entries; /* count: decisions with counted set; entries: all decisions */
};

struct vici_noted {
	struct vici_noted *next;
	uint32_t ike_unique_id;
	uint32_t followed; /* the IKE_SA that it continues; 0: the decision counts */
	struct vici_decision decision;
	bool counted;
	bool continued; /* by an IKE_SA that counts in its place */
	struct vici_share *connection, *peer;
	uint64_t snapshot; /* the latest snapshot with a look-up of the decision */
};

/* ---- memory */

int vici_decisions_reserve(struct vici_decisions *decisions)
{
	if (!decisions->noted_pool)
		decisions->noted_pool =
			calloc(VICI_DECISIONS_CONTINUED, sizeof(*decisions->noted_pool));
	if (!decisions->share_pool)
		decisions->share_pool = calloc(SHARES_MAX, sizeof(*decisions->share_pool));
	return decisions->noted_pool && decisions->share_pool ? 0 : -ENOMEM;
}

static void release(struct vici_decisions *decisions)
{
	free(decisions->noted_pool);
	free(decisions->share_pool);
	decisions->noted_pool = decisions->noted_spare = NULL;
	decisions->share_pool = decisions->share_spare = NULL;
	decisions->noted_used = decisions->shares_used = 0;
}

static struct vici_noted *take_noted(struct vici_decisions *decisions)
{
	struct vici_noted *noted = decisions->noted_spare;

	if (noted)
		decisions->noted_spare = noted->next;
	else if (!vici_decisions_reserve(decisions))
		noted = &decisions->noted_pool[decisions->noted_used++];
	if (noted)
		*noted = (struct vici_noted){0};
	return noted;
}

static struct vici_share *take_share(struct vici_decisions *decisions)
{
	struct vici_share *share = decisions->share_spare;

	if (share)
		decisions->share_spare = share->next;
	else if (!vici_decisions_reserve(decisions))
		share = &decisions->share_pool[decisions->shares_used++];
	if (share)
		*share = (struct vici_share){0};
	return share;
}

/* ---- shares */

/* The place of the pointer to the share, or to the end of its bucket. */
static struct vici_share **share_place(const struct vici_decisions *decisions, uint64_t name)
{
	struct vici_share **place;

	place = (struct vici_share **)&decisions->shares[name % VICI_DECISIONS_BUCKETS];
	while (*place && (*place)->name != name)
		place = &(*place)->next;
	return place;
}

static void drop_unused(struct vici_decisions *decisions, uint64_t name)
{
	struct vici_share *share, **place = share_place(decisions, name);

	share = *place;
	if (!share || share->entries)
		return;
	*place = share->next;
	share->next = decisions->share_spare;
	decisions->share_spare = share;
}

static bool has_room(const struct vici_decisions *decisions, uint64_t name, uint32_t limit)
{
	const struct vici_share *share = *share_place(decisions, name);

	return !share || share->count < limit;
}

static struct vici_share *find_or_add_share(struct vici_decisions *decisions, uint64_t name)
{
	struct vici_share **place = share_place(decisions, name);

	if (!*place) {
		*place = take_share(decisions);
		if (*place)
			(*place)->name = name;
	}
	return *place;
}

static void set_counted(struct vici_decisions *decisions, struct vici_noted *noted, bool counted)
{
	int more = counted - noted->counted;

	noted->counted = counted;
	noted->connection->count += more;
	noted->peer->count += more;
	decisions->counted += more;
}

/* A decision of an earlier latchd is valid without being counted, if its shares have no room. */
static void count_in_shares(struct vici_decisions *decisions, struct vici_noted *noted)
{
	if (noted->counted || noted->continued ||
	    noted->connection->count >= VICI_DECISIONS_CONNECTION ||
	    noted->peer->count >= VICI_DECISIONS_PEER)
		return;
	set_counted(decisions, noted, true);
}

/* ---- decisions */

/* The place of the pointer to the entry, or to the end of its bucket. */
static struct vici_noted **place_of(const struct vici_decisions *decisions, uint32_t ike_unique_id)
{
	struct vici_noted **place;

	place = (struct vici_noted **)&decisions->buckets[ike_unique_id % VICI_DECISIONS_BUCKETS];
	while (*place && (*place)->ike_unique_id != ike_unique_id)
		place = &(*place)->next;
	return place;
}

static void drop_at(struct vici_decisions *decisions, struct vici_noted **place)
{
	struct vici_noted *noted = *place;

	*place = noted->next;
	decisions->count--;
	decisions->followers -= noted->followed != 0;
	if (!noted->followed) {
		set_counted(decisions, noted, false);
		noted->connection->entries--;
		noted->peer->entries--;
		drop_unused(decisions, noted->decision.connection);
		drop_unused(decisions, noted->decision.peer);
	}
	noted->next = decisions->noted_spare;
	decisions->noted_spare = noted;
}

void vici_decisions_clear(struct vici_decisions *decisions)
{
	size_t i;

	for (i = 0; i < VICI_DECISIONS_BUCKETS; i++)
		while (decisions->buckets[i])
			drop_at(decisions, &decisions->buckets[i]);
	release(decisions);
}

const struct vici_decision *vici_decisions_find(struct vici_decisions *decisions,
						uint32_t ike_unique_id)
{
	struct vici_noted *noted = *place_of(decisions, ike_unique_id);

	if (!noted)
		return NULL;
	noted->snapshot = decisions->snapshot;
	if (noted->followed)
		return NULL;
	count_in_shares(decisions, noted);
	return &noted->decision;
}

uint32_t vici_decisions_followed(const struct vici_decisions *decisions, uint32_t ike_unique_id)
{
	const struct vici_noted *noted = *place_of(decisions, ike_unique_id);
	unsigned int i;

	for (i = 0; noted && noted->followed && i < FOLLOWED_MAX; i++)
		noted = *place_of(decisions, noted->followed);
	return noted && !noted->followed ? noted->ike_unique_id : 0;
}

int vici_decisions_room(const struct vici_decisions *decisions, uint64_t connection, uint64_t peer)
{
	if (decisions->counted >= VICI_DECISIONS_MAX)
		return -E2BIG;
	return has_room(decisions, connection, VICI_DECISIONS_CONNECTION) &&
			       has_room(decisions, peer, VICI_DECISIONS_PEER)
		       ? 0
		       : -EDQUOT;
}

static int add(struct vici_decisions *decisions, struct vici_noted **place, uint32_t ike_unique_id)
{
	if (decisions->count == VICI_DECISIONS_CONTINUED)
		return -E2BIG;
	*place = take_noted(decisions);
	if (!*place)
		return -ENOMEM;
	(*place)->ike_unique_id = ike_unique_id;
	(*place)->snapshot = decisions->snapshot;
	decisions->count++;
	return 0;
}

static int find_shares(struct vici_decisions *decisions, const struct vici_decision *decision,
		       uint32_t peer_max, struct vici_share **ret_connection,
		       struct vici_share **ret_peer)
{
	*ret_connection = find_or_add_share(decisions, decision->connection);
	*ret_peer = find_or_add_share(decisions, decision->peer);
	if (!*ret_connection || !*ret_peer)
		return -ENOMEM;
	return (*ret_connection)->entries < VICI_DECISIONS_CONNECTION_CONTINUED &&
			       (*ret_peer)->entries < peer_max
		       ? 0
		       : -EDQUOT;
}

static void decide(struct vici_noted *noted, const struct vici_decision *decision,
		   struct vici_share *connection, struct vici_share *peer)
{
	noted->followed = 0;
	noted->decision = *decision;
	noted->connection = connection;
	noted->peer = peer;
	connection->entries++;
	peer->entries++;
}

static bool is_undecided(const struct vici_noted *noted)
{
	return !noted->followed && noted->decision.proof == VICI_UNPROVEN_UNNOTED;
}

static int note(struct vici_decisions *decisions, uint32_t ike_unique_id,
		const struct vici_decision *decision, uint32_t peer_max)
{
	struct vici_noted **place = place_of(decisions, ike_unique_id);
	struct vici_share *connection, *peer;
	int err;

	if (*place && is_undecided(*place) && decision->proof != VICI_UNPROVEN_UNNOTED)
		drop_at(decisions, place);
	place = place_of(decisions, ike_unique_id);
	if (*place && !(*place)->followed)
		return 0;
	err = find_shares(decisions, decision, peer_max, &connection, &peer);
	if (!err && !*place)
		err = add(decisions, place, ike_unique_id);
	if (!err) {
		decisions->followers -= (*place)->followed != 0;
		decide(*place, decision, connection, peer);
	}
	drop_unused(decisions, decision->connection);
	drop_unused(decisions, decision->peer);
	return err;
}

int vici_decisions_restore(struct vici_decisions *decisions, uint32_t ike_unique_id,
			   const struct vici_decision *decision)
{
	return note(decisions, ike_unique_id, decision, UINT32_MAX);
}

int vici_decisions_set(struct vici_decisions *decisions, uint32_t ike_unique_id,
		       const struct vici_decision *decision)
{
	int err = note(decisions, ike_unique_id, decision, VICI_DECISIONS_PEER_CONTINUED);

	if (!err)
		count_in_shares(decisions, *place_of(decisions, ike_unique_id));
	return err;
}

int vici_decisions_inherit(struct vici_decisions *decisions, uint32_t ike_unique_id, uint32_t old)
{
	struct vici_noted *former = *place_of(decisions, old), *noted;
	int err;

	if (!former || former->followed)
		return -ENOENT;
	err = note(decisions, ike_unique_id, &former->decision, VICI_DECISIONS_PEER_CONTINUED);
	if (err)
		return err;
	noted = *place_of(decisions, ike_unique_id);
	if (noted == former)
		return 0;
	set_counted(decisions, former, false);
	former->continued = true;
	count_in_shares(decisions, noted);
	return 0;
}

int vici_decisions_follow(struct vici_decisions *decisions, uint32_t ike_unique_id, uint32_t old)
{
	struct vici_noted **place = place_of(decisions, ike_unique_id), *former;
	int err;

	if (*place || !old)
		return 0;
	if (decisions->followers == VICI_DECISIONS_FOLLOWERS)
		return -E2BIG;
	/* All IKE_SAs of a chain follow its first one. A peer may rekey any number of times
	 * meanwhile. */
	former = *place_of(decisions, old);
	if (former && former->followed)
		old = former->followed;
	err = add(decisions, place, ike_unique_id);
	if (err)
		return err;
	(*place)->followed = old;
	decisions->followers++;
	return 0;
}

static bool has_proof(const struct vici_noted *noted)
{
	return !noted->followed && vici_is_proof(noted->decision.proof);
}

static void sweep_bucket(struct vici_decisions *decisions, struct vici_noted **place,
			 uint32_t *unproven)
{
	while (*place) {
		if (decisions->snapshot - (*place)->snapshot < SNAPSHOTS_WITHOUT) {
			place = &(*place)->next;
			continue;
		}
		if (!has_proof(*place) && (*place)->ike_unique_id > *unproven)
			*unproven = (*place)->ike_unique_id;
		drop_at(decisions, place);
	}
}

uint32_t vici_decisions_sweep(struct vici_decisions *decisions)
{
	uint32_t unproven = 0;
	size_t i;

	for (i = 0; i < VICI_DECISIONS_BUCKETS; i++)
		sweep_bucket(decisions, &decisions->buckets[i], &unproven);
	decisions->snapshot++;
	return unproven;
}

void vici_decisions_each(const struct vici_decisions *decisions,
			 void (*each)(void *context, uint32_t ike_unique_id,
				      const struct vici_decision *decision),
			 void *context)
{
	const struct vici_noted *noted;
	size_t i;

	for (i = 0; i < VICI_DECISIONS_BUCKETS; i++)
		for (noted = decisions->buckets[i]; noted; noted = noted->next)
			if (!noted->followed)
				each(context, noted->ike_unique_id, &noted->decision);
}
