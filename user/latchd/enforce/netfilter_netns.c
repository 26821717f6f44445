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

struct netfilter_netns {
	const struct kernel_maps *maps;
	const struct netfilter_gate *gate;
	struct covered *namespaces;
	struct loop_timer timer;
};

static struct covered *find(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	struct covered *covered;

	LL_SEARCH_SCALAR(netfilter_netns->namespaces, covered, cookie, cookie);
	return covered;
}

/* ---- one namespace ---- */

static void log_once(struct covered *covered, int err)
{
	if (!err && covered->failed)
		log_info("enforce", "the netfilter gate stands in network namespace %" PRIu64,
			 covered->cookie);
	else if (err && err != covered->failed)
		log_warn("enforce",
			 "network namespace %" PRIu64
			 ": cannot attach the netfilter gate: %s; packets "
			 "without a full socket are not judged there; trying again",
			 covered->cookie, strerror(-err));
	covered->failed = err;
}

/* -ENOENT: nobody is in it. */
static int attach(const struct netfilter_netns *netfilter_netns, struct covered *covered)
{
	auto_close int fd = netns_open(covered->cookie);
	int err = fd < 0 ? fd : 0;

	if (!err && !netfilter_gate_is_attached(netfilter_netns->gate, covered->cookie))
		err = netfilter_gate_attach(netfilter_netns->gate, covered->cookie, fd);
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
static bool has_latched_socket(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	return latches_walk(netfilter_netns->maps, find_owned, &cookie) != 0;
}

static void let_go(struct netfilter_netns *netfilter_netns, struct covered *covered)
{
	log_debug("enforce", "network namespace %" PRIu64 " is left by all; let go",
		  covered->cookie);
	netfilter_gate_detach(covered->cookie);
	LL_DELETE(netfilter_netns->namespaces, covered);
	free(covered);
}

void netfilter_netns_add(struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	struct covered *covered;

	if (!netfilter_netns_is_offered(netfilter_netns) || !cookie ||
	    find(netfilter_netns, cookie))
		return;
	covered = calloc(1, sizeof(*covered));
	if (!covered) {
		log_warn("enforce",
			 "network namespace %" PRIu64
			 ": no memory for the netfilter gate; free some",
			 cookie);
		return;
	}
	covered->cookie = cookie;
	LL_PREPEND(netfilter_netns->namespaces, covered);
	attach(netfilter_netns, covered);
}

static void on_timer(void *context)
{
	struct netfilter_netns *netfilter_netns = context;
	struct covered *covered, *next;

	LL_FOREACH_SAFE(netfilter_netns->namespaces, covered, next)
	{
		if (attach(netfilter_netns, covered) &&
		    !has_latched_socket(netfilter_netns, covered->cookie))
			let_go(netfilter_netns, covered);
	}
	loop_timer_arm(&netfilter_netns->timer, COVERAGE_PERIOD_MS);
}

/* ---- what is there at the start ---- */

struct found {
	uint64_t *cookies;
	size_t count, capacity;
};

/* Most come in runs of the same; netfilter_netns_add() takes care of the rest. */
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
	/* Where only listeners are nothing is latched that the netfilter gate would have to judge.
	 */
	return latch->word.state == LATCH_STATE_LISTENER ? 0 : note(context, flow->netns);
}

static int note_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	(void)sa;
	return note(context, key->netns);
}

static void cover_all_known(struct netfilter_netns *netfilter_netns)
{
	struct found found = {0};
	size_t i;
	int err;

	err = netfilter_gate_walk(note, &found);
	if (!err)
		err = latches_walk(netfilter_netns->maps, note_latch, &found);
	if (!err)
		err = sas_walk(netfilter_netns->maps, note_sa, &found);
	if (err)
		log_warn(
			"enforce",
			"cannot look for the network namespaces that the netfilter gate must stand in: %s; "
			"restart latchd",
			strerror(-err));
	for (i = 0; i < found.count; i++)
		netfilter_netns_add(netfilter_netns, found.cookies[i]);
	free(found.cookies);
}

/* ---- the whole ---- */

struct netfilter_netns *netfilter_netns_new(struct loop *loop, const struct kernel_maps *maps,
					    const struct netfilter_gate *gate)
{
	struct netfilter_netns *netfilter_netns = calloc(1, sizeof(*netfilter_netns));

	if (!netfilter_netns)
		return NULL;
	netfilter_netns->maps = maps;
	netfilter_netns->gate = gate;
	loop_timer_init(loop, &netfilter_netns->timer, on_timer, netfilter_netns);
	if (!netfilter_gate_is_offered(gate))
		return netfilter_netns;
	cover_all_known(netfilter_netns);
	loop_timer_arm(&netfilter_netns->timer, COVERAGE_PERIOD_MS);
	return netfilter_netns;
}

void netfilter_netns_free(struct netfilter_netns *netfilter_netns)
{
	struct covered *covered, *next;

	if (!netfilter_netns)
		return;
	loop_timer_cancel(&netfilter_netns->timer);
	LL_FOREACH_SAFE(netfilter_netns->namespaces, covered, next)
	{
		free(covered);
	}
	free(netfilter_netns);
}

bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns)
{
	return netfilter_gate_is_offered(netfilter_netns->gate);
}

size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max)
{
	const struct covered *covered;
	size_t count = 0;

	LL_FOREACH(netfilter_netns->namespaces, covered)
	{
		if (count < max)
			namespaces[count] = (struct netfilter_netns_entry){
				.cookie = covered->cookie,
				.attached = netfilter_gate_is_attached(netfilter_netns->gate,
								       covered->cookie),
			};
		count++;
	}
	return count;
}
