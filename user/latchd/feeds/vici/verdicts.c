/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/verdicts.h"

#include <errno.h>
#include <stdlib.h>

struct vici_verdict {
	struct vici_verdict *next;
	uint32_t ike_unique_id;
	const char *doubt;
	unsigned int snapshots_left; /* 0: the IKE_SA has not ended */
};

/* The place of the pointer to the verdict, or to the end of its bucket. */
static struct vici_verdict **place_of(const struct vici_verdicts *verdicts, uint32_t ike_unique_id)
{
	struct vici_verdict **place;

	place = (struct vici_verdict **)&verdicts->buckets[ike_unique_id % VICI_VERDICTS_BUCKETS];
	while (*place && (*place)->ike_unique_id != ike_unique_id)
		place = &(*place)->next;
	return place;
}

static void drop_at(struct vici_verdicts *verdicts, struct vici_verdict **place)
{
	struct vici_verdict *verdict = *place;

	*place = verdict->next;
	verdicts->count--;
	free(verdict);
}

void vici_verdicts_clear(struct vici_verdicts *verdicts)
{
	size_t i;

	for (i = 0; i < VICI_VERDICTS_BUCKETS; i++)
		while (verdicts->buckets[i])
			drop_at(verdicts, &verdicts->buckets[i]);
}

bool vici_verdicts_find(const struct vici_verdicts *verdicts, uint32_t ike_unique_id,
			const char **doubt)
{
	const struct vici_verdict *verdict = *place_of(verdicts, ike_unique_id);

	if (verdict)
		*doubt = verdict->doubt;
	return verdict;
}

int vici_verdicts_set(struct vici_verdicts *verdicts, uint32_t ike_unique_id, const char *doubt)
{
	struct vici_verdict *verdict, **place = place_of(verdicts, ike_unique_id);

	if (*place)
		return 0;
	if (verdicts->count == VICI_VERDICTS_MAX)
		return -E2BIG;
	verdict = malloc(sizeof(*verdict));
	if (!verdict)
		return -ENOMEM;
	*verdict = (struct vici_verdict){.ike_unique_id = ike_unique_id, .doubt = doubt};
	*place = verdict;
	verdicts->count++;
	return 0;
}

void vici_verdicts_end(struct vici_verdicts *verdicts, uint32_t ike_unique_id)
{
	struct vici_verdict *verdict = *place_of(verdicts, ike_unique_id);

	if (verdict && !verdict->snapshots_left)
		verdict->snapshots_left = 2;
}

static void sweep_bucket(struct vici_verdicts *verdicts, struct vici_verdict **place)
{
	while (*place) {
		if ((*place)->snapshots_left && !--(*place)->snapshots_left)
			drop_at(verdicts, place);
		else
			place = &(*place)->next;
	}
}

void vici_verdicts_sweep(struct vici_verdicts *verdicts)
{
	size_t i;

	for (i = 0; i < VICI_VERDICTS_BUCKETS; i++)
		sweep_bucket(verdicts, &verdicts->buckets[i]);
}

void vici_verdicts_each_doubt(const struct vici_verdicts *verdicts,
			      void (*each)(void *context, uint32_t ike_unique_id), void *context)
{
	const struct vici_verdict *verdict;
	size_t i;

	for (i = 0; i < VICI_VERDICTS_BUCKETS; i++)
		for (verdict = verdicts->buckets[i]; verdict; verdict = verdict->next)
			if (verdict->doubt)
				each(context, verdict->ike_unique_id);
}
