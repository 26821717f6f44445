/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/sctp_disposition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latchd/latch/sctp_abort.h"
#include "latchd/maps/tables.h"

struct tag {
	uint64_t association;
	uint32_t tag; /* network order */
};

struct sending {
	const struct kernel_maps *maps;
	struct attempts *attempts;
	const struct sctp_disposition *round;
	struct tag *tags; /* of the associations that end */
	size_t tag_count, tag_room;
	size_t sent; /* packets in this round */
	sctp_ended_fn ended;
	void *context;
};

static void *grown(void *array, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 64;
	void *larger;

	if (count < *room)
		return array;
	larger = reallocarray(array, more, size);
	if (larger)
		*room = more;
	return larger;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* ---- the walk over the latches */

static int add_live(struct sctp_disposition *round, uint64_t association)
{
	uint64_t *live = grown(round->live, round->live_count, &round->live_room, sizeof(*live));

	if (!live)
		return -ENOMEM;
	round->live = live;
	live[round->live_count++] = association;
	return 0;
}

static int add_broken(struct sctp_disposition *round, const struct latch_flow *flow,
		      const struct latch *latch)
{
	struct sctp_broken *broken =
		grown(round->broken, round->broken_count, &round->broken_room, sizeof(*broken));

	if (!broken)
		return -ENOMEM;
	round->broken = broken;
	broken[round->broken_count++] = (struct sctp_broken){.flow = *flow, .latch = *latch};
	return 0;
}

void sctp_disposition_add(struct sctp_disposition *round, const struct latch_flow *flow,
			  const struct latch *latch, bool passes, bool ends)
{
	int err = 0;

	/* A handshake has no association yet, so no other path belongs to it. */
	if (passes && latch->association)
		err = add_live(round, latch->association);
	else if (ends)
		err = add_broken(round, flow, latch);
	if (err)
		round->err = err;
}

/* ---- which associations end */

static int by_number(const void *a, const void *b)
{
	return compare_numbers(*(const uint64_t *)a, *(const uint64_t *)b);
}

static int by_association(const void *a, const void *b)
{
	const struct sctp_broken *one = a, *other = b;

	return compare_numbers(one->latch.association, other->latch.association);
}

/* Leaves the latches that are due and have no live path, sorted by association. */
static void select_due(struct sctp_disposition *round)
{
	size_t i, kept = 0;

	if (round->live_count)
		qsort(round->live, round->live_count, sizeof(*round->live), by_number);
	for (i = 0; i < round->broken_count; i++) {
		uint64_t association = round->broken[i].latch.association;

		if (!round->live_count || !bsearch(&association, round->live, round->live_count,
						   sizeof(*round->live), by_number))
			round->broken[kept++] = round->broken[i];
	}
	round->broken_count = kept;
	if (kept)
		qsort(round->broken, kept, sizeof(*round->broken), by_association);
}

/* ---- tags */

static int add_tag(void *context, const struct latch_flow *key,
		   const struct latch_association *association)
{
	struct sending *s = context;
	const struct sctp_broken wanted = {.latch.association = association->id};
	struct tag *tags;

	if (key->pad != LATCH_MARK_LOCAL_TAG ||
	    !bsearch(&wanted, s->round->broken, s->round->broken_count, sizeof(wanted),
		     by_association))
		return 0;
	tags = grown(s->tags, s->tag_count, &s->tag_room, sizeof(*tags));
	if (!tags)
		return -ENOMEM;
	s->tags = tags;
	tags[s->tag_count].association = association->id;
	memcpy(&tags[s->tag_count++].tag, key->remote_addr, sizeof(tags->tag));
	return 0;
}

static int by_tag(const void *a, const void *b)
{
	const struct tag *one = a, *other = b;
	int order = compare_numbers(one->association, other->association);

	return order ? order : compare_numbers(one->tag, other->tag);
}

/* The tags of one association: a part of s->tags. */
static const struct tag *tags_of(const struct sending *s, uint64_t association, size_t *ret_count)
{
	size_t low = 0, end = s->tag_count, middle;

	while (low < end) {
		middle = low + (end - low) / 2;
		if (s->tags[middle].association < association)
			low = middle + 1;
		else
			end = middle;
	}
	while (end < s->tag_count && s->tags[end].association == association)
		end++;
	*ret_count = end - low;
	return s->tags + low;
}

/* ---- ABORTs */

static int send_to(struct sending *s, const struct sctp_broken *path, const struct tag *tags,
		   size_t count)
{
	uint32_t numbers[SCTP_ABORT_SHARE];
	size_t i;

	for (i = 0; i < count; i++)
		numbers[i] = tags[i].tag;
	s->sent += count;
	return sctp_abort(&path->flow, numbers, count);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* True: some tag is left for another round. */
static bool end_path(struct sending *s, const struct sctp_broken *path, struct attempt *attempt,
		     const struct tag *tags, size_t count)
{
	size_t left = count > attempt->sent ? count - attempt->sent : 0;
	size_t now = smaller(left, smaller(SCTP_ABORT_SHARE, SCTP_ABORT_ROUND - s->sent));
	int result = 0;

	if (left && !now)
		return true;
	if (now || !attempt->sent)
		result = send_to(s, path, tags + (count - left), now);
	attempt->sent = result ? 0 : attempt->sent + now;
	if (!result && now < left)
		return true;
	attempt->due_ms = ATTEMPT_NEVER;
	s->ended(s->context, &path->flow, &path->latch, result);
	return false;
}

/*
 * begun: the associations for which some tags were tried. An ABORT on any path ends an
 * association, but an address may be gone. So all paths are tried, unless the peer has made too
 * many tags.
 */
static bool end_paths(struct sending *s, bool begun)
{
	const struct sctp_disposition *round = s->round;
	const struct tag *tags = NULL;
	size_t i, count = 0, place = 0;
	bool more = false;

	for (i = 0; i < round->broken_count; i++) {
		const struct sctp_broken *path = &round->broken[i];
		struct attempt *attempt = attempts_note(s->attempts, &path->latch);

		place = i && !by_association(path - 1, path) ? place + 1 : 0;
		if (!place)
			tags = tags_of(s, path->latch.association, &count);
		if (!attempt)
			more = true;
		else if (place && place * count >= SCTP_ABORT_SHARE)
			attempt->due_ms = ATTEMPT_NEVER;
		else if (attempt->due_ms != ATTEMPT_NEVER && (attempt->sent > 0) == begun)
			more |= end_path(s, path, attempt, tags, count);
	}
	return more;
}

static int end_associations(struct sending *s)
{
	int err = associations_walk(s->maps, add_tag, s);
	bool more;

	if (err)
		return err;
	if (s->tag_count)
		qsort(s->tags, s->tag_count, sizeof(*s->tags), by_tag);
	more = end_paths(s, false);
	return end_paths(s, true) || more;
}

int sctp_disposition_end(struct sctp_disposition *round, const struct kernel_maps *maps,
			 struct attempts *attempts, sctp_ended_fn ended, void *context)
{
	struct sending s = {
		.maps = maps,
		.attempts = attempts,
		.round = round,
		.ended = ended,
		.context = context,
	};
	int result = round->err;

	if (!result && round->broken_count)
		select_due(round);
	if (!result && round->broken_count)
		result = end_associations(&s);
	free(s.tags);
	free(round->live);
	free(round->broken);
	return result;
}
