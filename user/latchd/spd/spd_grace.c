/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_grace.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/loop.h"

struct spd_suspect {
	uint64_t id; /* of the latch */
	uint64_t netns;
	uint64_t since_ms;
	unsigned int round; /* in which it was suspected last */
	UT_hash_handle hh;
};

static struct spd_suspect *add(struct spd_suspects *suspects, uint64_t netns, uint64_t latch_id)
{
	struct spd_suspect *suspect = calloc(1, sizeof(*suspect));

	if (!suspect)
		return NULL;
	suspect->id = latch_id;
	suspect->netns = netns;
	suspect->since_ms = loop_now_ms();
	HASH_ADD(hh, suspects->by_id, id, sizeof(suspect->id), suspect);
	return suspect;
}

bool spd_suspect(struct spd_suspects *suspects, uint64_t netns, uint64_t latch_id,
		 unsigned int time_ms)
{
	struct spd_suspect *suspect;

	HASH_FIND(hh, suspects->by_id, &latch_id, sizeof(latch_id), suspect);
	if (!suspect)
		suspect = add(suspects, netns, latch_id);
	if (!suspect)
		return true;
	suspect->round = suspects->round;
	return loop_now_ms() - suspect->since_ms >= time_ms;
}

static void drop(struct spd_suspects *suspects, struct spd_suspect *suspect)
{
	HASH_DEL(suspects->by_id, suspect);
	free(suspect);
}

void spd_suspects_acquit(struct spd_suspects *suspects)
{
	struct spd_suspect *suspect, *next;

	HASH_ITER(hh, suspects->by_id, suspect, next)
	{
		if (suspect->round != suspects->round)
			drop(suspects, suspect);
	}
	suspects->round++;
}

void spd_suspects_visit(const struct spd_suspects *suspects,
			void (*visit)(void *context, uint64_t netns), void *context)
{
	const struct spd_suspect *suspect, *next;

	HASH_ITER(hh, suspects->by_id, suspect, next)
	{
		visit(context, suspect->netns);
	}
}

void spd_suspects_release(struct spd_suspects *suspects)
{
	struct spd_suspect *suspect, *next;

	HASH_ITER(hh, suspects->by_id, suspect, next)
	{
		drop(suspects, suspect);
	}
}
