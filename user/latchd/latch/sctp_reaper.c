/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/sctp_reaper.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/sctp_paths.h"
#include "latchd/maps/tables.h"

#define SECOND_NS    1000000000ull
#define HANDSHAKE_NS (3 * SECOND_NS)
/* A namespace without a process cannot be read. A descriptor may keep its sockets for this time. */
#define MISSING_NS (130 * SECOND_NS)

struct round {
	const struct kernel_maps *maps;
	uint64_t now;
	struct sctp_path *paths;
	size_t count, room;
};

static bool is_older(const struct round *round, uint64_t since, uint64_t age)
{
	return since < round->now && round->now - since > age;
}

static int collect(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct round *round = context;
	struct sctp_path *more;

	if (flow->protocol != IPPROTO_SCTP)
		return 0;
	if (round->count == round->room) {
		more = realloc(round->paths, (round->room * 2 + 64) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		round->paths = more;
		round->room = round->room * 2 + 64;
	}
	round->paths[round->count++] = (struct sctp_path){.flow = *flow, .latch = *latch};
	return 0;
}

/* After an error the paths count as alive, except in a namespace that is missing for long. */
static void check_namespace(const struct round *round, struct sctp_path *paths, size_t count)
{
	int err = sctp_paths_ask(paths[0].flow.netns, paths, count);
	size_t i;

	for (i = 0; err && i < count; i++)
		paths[i].alive =
			err != -ENOENT || !is_older(round, paths[i].latch.owner_since, MISSING_NS);
}

static void check_namespaces(const struct round *round)
{
	size_t first = 0, end;

	while (first < round->count) {
		uint64_t netns = round->paths[first].flow.netns;

		for (end = first; end < round->count && round->paths[end].flow.netns == netns;)
			end++;
		check_namespace(round, &round->paths[first], end - first);
		first = end;
	}
}

/* An association that is not there yet may still be in its handshake. */
static bool is_expired(const struct round *round, const struct sctp_path *path)
{
	return !path->alive && (path->latch.owner == LATCH_OWNER_SOCKET ||
				is_older(round, path->latch.owner_since, HANDSHAKE_NS));
}

/* The kept paths move to the front: their associations keep their marks. */
static int reap_paths(struct round *round)
{
	size_t i, kept = 0;
	int result = 0;

	for (i = 0; result >= 0 && i < round->count; i++) {
		struct sctp_path *path = &round->paths[i];

		if (is_expired(round, path))
			result = latch_reap(round->maps, &path->flow, &path->latch);
		else
			round->paths[kept++] = *path;
	}
	round->count = kept;
	return result < 0 ? result : 0;
}

static int compare_associations(const void *a, const void *b)
{
	const struct sctp_path *one = a, *other = b;

	return one->latch.association < other->latch.association
		       ? -1
		       : one->latch.association > other->latch.association;
}

static int forget_without_latch(void *context, const struct latch_flow *key,
				const struct latch_association *association)
{
	const struct round *round = context;
	const struct sctp_path wanted = {.latch.association = association->id};
	int result = 0;

	if (is_older(round, association->changed, HANDSHAKE_NS) &&
	    !(round->count &&
	      bsearch(&wanted, round->paths, round->count, sizeof(wanted), compare_associations)))
		result = association_forget(round->maps, key, association);
	return result < 0 ? result : 0;
}

int sctp_reaper_round(const struct kernel_maps *maps)
{
	struct round round = {.maps = maps, .now = clock_boot_ns()};
	int err = latches_walk(maps, collect, &round);

	if (!err) {
		sctp_paths_sort(round.paths, round.count);
		check_namespaces(&round);
		err = reap_paths(&round);
	}
	if (!err && round.count)
		qsort(round.paths, round.count, sizeof(*round.paths), compare_associations);
	if (!err)
		err = associations_walk(maps, forget_without_latch, &round);
	free(round.paths);
	return err;
}
