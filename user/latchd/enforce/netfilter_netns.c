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

#define NETFILTER_NETNS_PERIOD_MS 3000

struct netns_entry {
	uint64_t cookie;
	int logged; /* the negative errno in the log; 0 = none since the gate was attached */
	struct netns_entry *next;
};

struct netfilter_netns {
	const struct kernel_maps *maps;
	const struct netfilter_gate *gate;
	struct netns_entry *namespaces;
	struct loop_timer timer;
};

static struct netns_entry *find(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	struct netns_entry *entry;

	LL_SEARCH_SCALAR(netfilter_netns->namespaces, entry, cookie, cookie);
	return entry;
}

/* ---- one namespace ---- */

static void log_once(struct netns_entry *entry, int err)
{
	if (!err && entry->logged)
		log_info("enforce", "network namespace %" PRIu64 ": netfilter gate attached",
			 entry->cookie);
	else if (err && err != entry->logged)
		log_warn("enforce",
			 "network namespace %" PRIu64
			 ": cannot attach the netfilter gate: %s; packets without a full socket "
			 "are not checked there; trying again",
			 entry->cookie, strerror(-err));
	entry->logged = err;
}

/* 0, or -ENOENT: neither a process nor a mount holds the namespace. */
static int attach(const struct netfilter_netns *netfilter_netns, struct netns_entry *entry)
{
	auto_close int fd = netns_open(entry->cookie);
	int err = fd < 0 ? fd : 0;

	if (!err && !netfilter_gate_is_attached(netfilter_netns->gate, entry->cookie))
		err = netfilter_gate_attach(netfilter_netns->gate, entry->cookie, fd);
	if (fd >= 0 || err != -ENOENT)
		log_once(entry, err);
	return fd == -ENOENT ? -ENOENT : 0;
}

static int find_owned(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const uint64_t *cookie = context;

	return flow->netns == *cookie && latch->owner == LATCH_OWNER_SOCKET;
}

/* A process in another namespace may have a socket there. True also if the walk fails. */
static bool has_latched_socket(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	return latches_walk(netfilter_netns->maps, find_owned, &cookie) != 0;
}

static void detach(struct netfilter_netns *netfilter_netns, struct netns_entry *entry)
{
	log_debug("enforce", "network namespace %" PRIu64 ": netfilter gate detached (unused)",
		  entry->cookie);
	netfilter_gate_detach(entry->cookie);
	LL_DELETE(netfilter_netns->namespaces, entry);
	free(entry);
}

void netfilter_netns_add(struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	struct netns_entry *entry;

	if (!netfilter_netns_is_offered(netfilter_netns) || !cookie ||
	    find(netfilter_netns, cookie))
		return;
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		log_warn("enforce",
			 "network namespace %" PRIu64
			 ": cannot attach the netfilter gate: out of memory; free some",
			 cookie);
		return;
	}
	entry->cookie = cookie;
	LL_PREPEND(netfilter_netns->namespaces, entry);
	attach(netfilter_netns, entry);
}

static void on_timer(void *context)
{
	struct netfilter_netns *netfilter_netns = context;
	struct netns_entry *entry, *next;

	LL_FOREACH_SAFE(netfilter_netns->namespaces, entry, next)
	{
		if (attach(netfilter_netns, entry) &&
		    !has_latched_socket(netfilter_netns, entry->cookie))
			detach(netfilter_netns, entry);
	}
	loop_timer_arm(&netfilter_netns->timer, NETFILTER_NETNS_PERIOD_MS);
}

/* ---- namespaces known at the start ---- */

struct found {
	uint64_t *cookies;
	size_t count, capacity;
};

/* Equal cookies often come in a row. netfilter_netns_add() ignores the other duplicates. */
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
	/* A namespace with listeners only has no latch that the netfilter gate would check. */
	return latch->word.state == LATCH_STATE_LISTENER ? 0 : note(context, flow->netns);
}

static int note_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	(void)sa;
	return note(context, key->netns);
}

static void add_known(struct netfilter_netns *netfilter_netns)
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
		log_warn("enforce",
			 "netfilter gate: cannot scan for network namespaces that need it: %s; "
			 "restart latchd",
			 strerror(-err));
	for (i = 0; i < found.count; i++)
		netfilter_netns_add(netfilter_netns, found.cookies[i]);
	free(found.cookies);
}

/* ---- netfilter_netns.h ---- */

struct netfilter_netns *netfilter_netns_new(struct loop *loop, const struct kernel_maps *maps,
					    const struct netfilter_gate *gate)
{
	struct netfilter_netns *netfilter_netns = calloc(1, sizeof(*netfilter_netns));

	if (!netfilter_netns)
		return NULL;
	netfilter_netns->maps = maps;
	netfilter_netns->gate = gate;
	loop_timer_init(loop, &netfilter_netns->timer, on_timer, netfilter_netns);
	return netfilter_netns;
}

void netfilter_netns_start(struct netfilter_netns *netfilter_netns)
{
	if (!netfilter_gate_is_offered(netfilter_netns->gate))
		return;
	add_known(netfilter_netns);
	loop_timer_arm(&netfilter_netns->timer, NETFILTER_NETNS_PERIOD_MS);
}

void netfilter_netns_free(struct netfilter_netns *netfilter_netns)
{
	struct netns_entry *entry, *next;

	if (!netfilter_netns)
		return;
	loop_timer_cancel(&netfilter_netns->timer);
	LL_FOREACH_SAFE(netfilter_netns->namespaces, entry, next)
	{
		free(entry);
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
	const struct netns_entry *entry;
	size_t count = 0;

	LL_FOREACH(netfilter_netns->namespaces, entry)
	{
		if (count < max)
			namespaces[count] = (struct netfilter_netns_entry){
				.cookie = entry->cookie,
				.attached = netfilter_gate_is_attached(netfilter_netns->gate,
								       entry->cookie),
			};
		count++;
	}
	return count;
}
