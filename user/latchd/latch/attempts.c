/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/attempts.h"

#include <stdlib.h>

struct attempt *attempts_find(struct attempts *attempts, const struct latch *latch)
{
	struct attempt *attempt;
	uint64_t id = latch->id;

	HASH_FIND(hh, attempts->by_id, &id, sizeof(id), attempt);
	if (!attempt)
		return NULL;
	attempt->round = attempts->round;
	if (attempt->changed != latch->changed) {
		attempt->changed = latch->changed;
		attempt->due_ms = 0;
		attempt->step = ATTEMPT_LOOK_UP;
		attempt->failed = false;
		attempt->sent = 0;
	}
	return attempt;
}

struct attempt *attempts_note(struct attempts *attempts, const struct latch *latch)
{
	struct attempt *attempt = attempts_find(attempts, latch);

	if (attempt)
		return attempt;
	attempt = calloc(1, sizeof(*attempt));
	if (!attempt)
		return NULL;
	attempt->id = latch->id;
	attempt->changed = latch->changed;
	attempt->round = attempts->round;
	HASH_ADD(hh, attempts->by_id, id, sizeof(attempt->id), attempt);
	return attempt;
}

static void forget(struct attempts *attempts, struct attempt *attempt)
{
	HASH_DEL(attempts->by_id, attempt);
	free(attempt);
}

void attempts_end_round(struct attempts *attempts)
{
	struct attempt *attempt, *next;

	HASH_ITER(hh, attempts->by_id, attempt, next)
	{
		if (attempt->round != attempts->round)
			forget(attempts, attempt);
	}
	attempts->round++;
}

void attempts_release(struct attempts *attempts)
{
	struct attempt *attempt, *next;

	HASH_ITER(hh, attempts->by_id, attempt, next)
	{
		forget(attempts, attempt);
	}
}
