/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/netfilter_netns.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"

#define COVERAGE_PERIOD_MS 3000

struct covered {
	uint64_t cookie;
	int failed; /* the errno that was logged; 0 = none since it last worked */
	struct covered *next;
};

struct coverage {
	const struct kernel_maps *maps;
	const struct netfilter_gate *gate;
	struct covered *namespaces;
	struct loop_timer timer;
};

static struct covered *find(const struct coverage *coverage, uint64_t cookie)
{
	struct covered *covered;

	LL_SEARCH_SCALAR(coverage->namespaces, covered, cookie, cookie);
	return covered;
}

/* ---- one namespace ---- */

static void log_once(struct covered *covered, int err)
{
	if (!err && covered->failed)
		log_info("enforce", "gate (b) stands in network namespace %" PRIu64,
			 covered->cookie);
	else if (err && err != covered->failed)
		log_warn("enforce",
			 "network namespace %" PRIu64 ": cannot attach gate (b): %s; packets "
			 "without a full socket are not judged there; trying again",
			 covered->cookie, strerror(-err));
	covered->failed = err;
}

/* -ENOENT: nobody is in it. */
static int attach(const struct coverage *coverage, struct covered *covered)
{
	auto_close int fd = netns_open(covered->cookie);
	int err = fd < 0 ? fd : 0;

	if (!err && !netfilter_gate_is_attached(coverage->gate, covered->cookie))
		err = netfilter_gate_attach(coverage->gate, covered->cookie, fd);
	if (fd >= 0 || err != -ENOENT)
		log_once(covered, err);
	return fd == -ENOENT ? -ENOENT : 0;
}

static int find_owned(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const uint64_t *cookie = context;

	return flow->netns == *cookie && latch->owner == LATCH_OWNER_SOCKET;
}

/* A process that is elsewhere may still have a socket there. When in doubt there is one. */
static bool has_latched_socket(const struct coverage *coverage, uint64_t cookie)
{
	return latches_walk(coverage->maps, find_owned, &cookie) != 0;
}

static void let_go(struct coverage *coverage, struct covered *covered)
{
	log_debug("enforce", "network namespace %" PRIu64 " is left by all; let go",
		  covered->cookie);
	netfilter_gate_detach(covered->cookie);
	LL_DELETE(coverage->namespaces, covered);
	free(covered);
}

void coverage_add(struct coverage *coverage, uint64_t cookie)
{
	struct covered *covered;

	if (!coverage_is_offered(coverage) || !cookie || find(coverage, cookie))
		return;
	covered = calloc(1, sizeof(*covered));
	if (!covered) {
		log_warn("enforce",
			 "network namespace %" PRIu64 ": no memory for gate (b); free some",
			 cookie);
		return;
	}
	covered->cookie = cookie;
	LL_PREPEND(coverage->namespaces, covered);
	attach(coverage, covered);
}

static void on_timer(void *context)
{
	struct coverage *coverage = context;
	struct covered *covered, *next;

	LL_FOREACH_SAFE(coverage->namespaces, covered, next)
	{
		if (attach(coverage, covered) && !has_latched_socket(coverage, covered->cookie))
			let_go(coverage, covered);
	}
	loop_timer_arm(&coverage->timer, COVERAGE_PERIOD_MS);
}

/* ---- what is there at the start ---- */

struct found {
	uint64_t *cookies;
	size_t count, capacity;
};

/* Most come in runs of the same; coverage_add() takes care of the rest. */
static int note(void *context, uint64_t cookie)
{
	struct found *found = context;
	size_t capacity = found->capacity ? found->capacity * 2 : 64;
	uint64_t *cookies;

	if (found->count && found->cookies[found->count - 1] == cookie)
		return 0;
	if (found->count == found->capacity) {
		cookies = reallocarray(found->cookies, capacity, sizeof(*cookies));
		if (!cookies)
			return -ENOMEM;
		found->cookies = cookies;
		found->capacity = capacity;
	}
	found->cookies[found->count++] = cookie;
	return 0;
}

static int note_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	/* Where only listeners are nothing is latched that gate (b) would have to judge. */
	return latch->word.state == LATCH_STATE_LISTENER ? 0 : note(context, flow->netns);
}

static int note_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	(void)sa;
	return note(context, key->netns);
}

static void cover_all_known(struct coverage *coverage)
{
	struct found found = {0};
	size_t i;
	int err;

	err = netfilter_gate_walk(note, &found);
	if (!err)
		err = latches_walk(coverage->maps, note_latch, &found);
	if (!err)
		err = sas_walk(coverage->maps, note_sa, &found);
	if (err)
		log_warn("enforce",
			 "cannot look for the network namespaces that gate (b) must stand in: %s; "
			 "restart latchd",
			 strerror(-err));
	for (i = 0; i < found.count; i++)
		coverage_add(coverage, found.cookies[i]);
	free(found.cookies);
}

/* ---- the whole ---- */

struct coverage *coverage_new(struct loop *loop, const struct kernel_maps *maps,
			      const struct netfilter_gate *gate)
{
	struct coverage *coverage = calloc(1, sizeof(*coverage));

	if (!coverage)
		return NULL;
	coverage->maps = maps;
	coverage->gate = gate;
	loop_timer_init(loop, &coverage->timer, on_timer, coverage);
	if (!netfilter_gate_is_offered(gate))
		return coverage;
	cover_all_known(coverage);
	loop_timer_arm(&coverage->timer, COVERAGE_PERIOD_MS);
	return coverage;
}

void coverage_free(struct coverage *coverage)
{
	struct covered *covered, *next;

	if (!coverage)
		return;
	loop_timer_cancel(&coverage->timer);
	LL_FOREACH_SAFE(coverage->namespaces, covered, next)
	{
		free(covered);
	}
	free(coverage);
}

bool coverage_is_offered(const struct coverage *coverage)
{
	return netfilter_gate_is_offered(coverage->gate);
}

size_t coverage_namespaces(const struct coverage *coverage, struct coverage_netns *namespaces,
			   size_t max)
{
	const struct covered *covered;
	size_t count = 0;

	LL_FOREACH(coverage->namespaces, covered)
	{
		if (count < max)
			namespaces[count] = (struct coverage_netns){
				.cookie = covered->cookie,
				.attached = netfilter_gate_is_attached(coverage->gate,
								       covered->cookie),
			};
		count++;
	}
	return count;
}
