/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/netfilter/netfilter_netns.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash.h"
#include "common/log.h"
#include "latchd/net/netns.h"
#include "latchd/enforce/netfilter/netns_unplaced.h"
#include "latchd/maps/tables.h"

#define NETFILTER_NETNS_PERIOD_MS 3000

struct netns_entry {
	uint64_t cookie;
	bool in_share; /* counts in the share of foreign namespaces */
	bool foreign;  /* by an SA or a look-up */
	bool gone;     /* in this round: no process and no mount holds the namespace */
	int logged;    /* the negative errno in the log; 0 = none since the gate was attached */
	UT_hash_handle hh;
};

struct netfilter_netns {
	const struct kernel_maps *maps;
	const struct netfilter_gate *gate;
	struct netns_entry *namespaces;
	size_t in_share;
	bool share_logged;
	bool short_share; /* a namespace got no place since the last scan of the tables */
	struct netns_unplaced unplaced;
	struct loop_timer timer;
};

static struct netns_entry *find(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	struct netns_entry *entry;

	HASH_FIND(hh, netfilter_netns->namespaces, &cookie, sizeof(cookie), entry);
	return entry;
}

/* ---- the share ---- */

static void leave_share(struct netfilter_netns *netfilter_netns, struct netns_entry *entry)
{
	netfilter_netns->in_share -= entry->in_share;
	entry->in_share = false;
	entry->foreign = false;
}

static bool share_is_full(const struct netfilter_netns *netfilter_netns)
{
	return netfilter_netns->in_share >= NETFILTER_NETNS_FOREIGN_MAX;
}

static void refuse(struct netfilter_netns *netfilter_netns, uint64_t cookie,
		   enum netns_unplaced_kind kind)
{
	netns_unplaced_note(&netfilter_netns->unplaced, cookie, kind);
	netfilter_netns->short_share = true;
	if (!netfilter_netns->share_logged)
		log_warn("enforce",
			 "netfilter gate of network namespace %" PRIu64
			 " not attached (%d namespaces of other user namespaces "
			 "have it): packets without a full socket are not checked "
			 "there until one of these ends; configure a feed there if "
			 "it has a key manager",
			 cookie, NETFILTER_NETNS_FOREIGN_MAX);
	netfilter_netns->share_logged = true;
}

/* ---- one namespace ---- */

static void log_once(struct netns_entry *entry, int err)
{
	if (!err && entry->logged)
		log_info("enforce", "netfilter gate of network namespace %" PRIu64 " attached",
			 entry->cookie);
	else if (err && err != entry->logged)
		log_warn("enforce",
			 "netfilter gate of network namespace %" PRIu64
			 " not attached (%s): packets without a full socket are not "
			 "checked there; trying again",
			 entry->cookie, strerror(-err));
	entry->logged = err;
}

/* fd: of the namespace, or a negative errno. */
static void attach(const struct netfilter_netns *netfilter_netns, struct netns_entry *entry, int fd)
{
	int err = 0;

	entry->gone = fd == -ENOENT;
	if (!netfilter_gate_is_attached(netfilter_netns->gate, entry->cookie))
		err = fd < 0 ? fd : netfilter_gate_attach(netfilter_netns->gate, entry->cookie, fd);
	if (!entry->gone)
		log_once(entry, err);
}

static void forget(struct netfilter_netns *netfilter_netns, struct netns_entry *entry)
{
	leave_share(netfilter_netns, entry);
	HASH_DEL(netfilter_netns->namespaces, entry);
	free(entry);
}

static void detach(struct netfilter_netns *netfilter_netns, struct netns_entry *entry)
{
	log_debug("enforce", "netfilter gate of network namespace %" PRIu64 " detached (unused)",
		  entry->cookie);
	netfilter_gate_detach(entry->cookie);
	forget(netfilter_netns, entry);
}

/* 1: by an SA or a look-up the namespace belongs to another user namespace. 0: it does not. Or an
 * errno. */
static int foreignness(enum netfilter_netns_origin origin, int fd)
{
	switch (origin) {
	case NETFILTER_NETNS_OWN:
		return 0;
	case NETFILTER_NETNS_FOREIGN:
		return 1;
	case NETFILTER_NETNS_UNKNOWN:
	case NETFILTER_NETNS_PINNED:
		break;
	}
	return fd < 0 ? fd : netns_descriptor_is_foreign(fd);
}

static enum netns_unplaced_kind kind_of(int foreign)
{
	if (foreign == -EAGAIN)
		return NETNS_UNPLACED_UNANSWERED;
	return foreign > 0 ? NETNS_UNPLACED_FOREIGN : NETNS_UNPLACED_UNKNOWN;
}

/* A namespace of unknown origin may be foreign, so it needs a place. */
static void add(struct netfilter_netns *netfilter_netns, uint64_t cookie, int foreign, int fd)
{
	struct netns_entry *entry = calloc(1, sizeof(*entry));

	netns_unplaced_remove(&netfilter_netns->unplaced, cookie);
	if (!entry) {
		log_warn("enforce",
			 "netfilter gate of network namespace %" PRIu64
			 " not attached (no memory); free some",
			 cookie);
		return;
	}
	entry->cookie = cookie;
	entry->in_share = foreign != 0;
	entry->foreign = foreign > 0;
	netfilter_netns->in_share += entry->in_share;
	HASH_ADD(hh, netfilter_netns->namespaces, cookie, sizeof(entry->cookie), entry);
	attach(netfilter_netns, entry, fd);
}

static void add_unknown(struct netfilter_netns *netfilter_netns, uint64_t cookie,
			enum netfilter_netns_origin origin)
{
	auto_close int fd = netns_open(cookie);
	int foreign = foreignness(origin, fd);

	/* Gates that an earlier latchd attached stay: the namespace may have a key manager. */
	if (foreign && origin != NETFILTER_NETNS_PINNED && share_is_full(netfilter_netns))
		refuse(netfilter_netns, cookie, kind_of(foreign));
	else
		add(netfilter_netns, cookie, foreign, fd);
}

/*
 * Makes no look-up: local users choose the number of these events and latches. One look-up of a
 * namespace is enough until a place is free.
 */
static bool is_refused(struct netfilter_netns *netfilter_netns, uint64_t cookie,
		       enum netfilter_netns_origin origin)
{
	const struct netns_unplaced *unplaced = &netfilter_netns->unplaced;
	enum netns_unplaced_kind kind = netns_unplaced_kind_of(unplaced, cookie);

	if (!share_is_full(netfilter_netns) || origin == NETFILTER_NETNS_OWN ||
	    origin == NETFILTER_NETNS_PINNED)
		return false;
	if (origin == NETFILTER_NETNS_FOREIGN)
		kind = NETNS_UNPLACED_FOREIGN;
	else if (kind == NETNS_UNPLACED_NONE && netns_unplaced_is_full(unplaced))
		kind = NETNS_UNPLACED_UNKNOWN;
	if (kind == NETNS_UNPLACED_NONE)
		return false;
	refuse(netfilter_netns, cookie, kind);
	return true;
}

void netfilter_netns_add(struct netfilter_netns *netfilter_netns, uint64_t cookie,
			 enum netfilter_netns_origin origin)
{
	struct netns_entry *entry;

	if (!netfilter_netns_is_offered(netfilter_netns) || !cookie)
		return;
	entry = find(netfilter_netns, cookie);
	if (entry && origin == NETFILTER_NETNS_OWN)
		leave_share(netfilter_netns, entry);
	if (entry)
		return;
	if (!is_refused(netfilter_netns, cookie, origin))
		add_unknown(netfilter_netns, cookie, origin);
}

/* ---- rounds ---- */

/* A process in another namespace may have a socket there. */
static int keep_owned(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct netns_entry *entry;

	if (latch->owner != LATCH_OWNER_SOCKET)
		return 0;
	entry = find(context, flow->netns);
	if (entry)
		entry->gone = false;
	return 0;
}

static void note_foreignness(struct netfilter_netns *netfilter_netns, struct netns_entry *entry,
			     int fd)
{
	int foreign = fd >= 0 && entry->in_share ? netns_descriptor_is_foreign(fd) : -ENOENT;

	if (!foreign)
		leave_share(netfilter_netns, entry);
	entry->foreign |= foreign > 0;
}

static bool attach_all(struct netfilter_netns *netfilter_netns)
{
	struct netns_entry *entry, *next;
	bool some_gone = false;

	HASH_ITER(hh, netfilter_netns->namespaces, entry, next)
	{
		auto_close int fd = netns_open(entry->cookie);

		note_foreignness(netfilter_netns, entry, fd);
		attach(netfilter_netns, entry, fd);
		some_gone |= entry->gone;
	}
	return some_gone;
}

static void detach_gone(struct netfilter_netns *netfilter_netns)
{
	struct netns_entry *entry, *next;

	HASH_ITER(hh, netfilter_netns->namespaces, entry, next)
	{
		if (entry->gone)
			detach(netfilter_netns, entry);
	}
	if (!share_is_full(netfilter_netns))
		netfilter_netns->share_logged = false;
}

static int add_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	/* A namespace with listeners only has no latch that the netfilter gate would check. */
	if (latch->word.state != LATCH_STATE_LISTENER)
		netfilter_netns_add(context, flow->netns, netfilter_netns_of_latch(latch->word));
	return 0;
}

static int add_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	netfilter_netns_add(context, key->netns, netfilter_netns_of_sa(sa->word));
	return 0;
}

static int add_tabled(struct netfilter_netns *netfilter_netns)
{
	int err = latches_walk(netfilter_netns->maps, add_latch, netfilter_netns);

	return err ? err : sas_walk(netfilter_netns->maps, add_sa, netfilter_netns);
}

/* Local users choose the number of refused namespaces. They are found in the tables, not kept in a
 * list. */
static void fill_share(struct netfilter_netns *netfilter_netns)
{
	if (!netfilter_netns->short_share || share_is_full(netfilter_netns))
		return;
	netfilter_netns->short_share = false;
	netns_unplaced_clear_answered(&netfilter_netns->unplaced);
	if (add_tabled(netfilter_netns))
		netfilter_netns->short_share = true;
}

/* A namespace of the host needs no place. This was unknown while there were too many look-ups. */
static void retry_unanswered(struct netfilter_netns *netfilter_netns)
{
	uint64_t cookies[NETNS_UNANSWERED_MAX];
	size_t count = netns_unplaced_take_unanswered(&netfilter_netns->unplaced, cookies), i;

	for (i = 0; i < count; i++)
		netfilter_netns_add(netfilter_netns, cookies[i], NETFILTER_NETNS_UNKNOWN);
}

/* One walk over the latches serves all namespaces that are gone. */
static void on_timer(void *context)
{
	struct netfilter_netns *netfilter_netns = context;

	if (attach_all(netfilter_netns) &&
	    !latches_walk(netfilter_netns->maps, keep_owned, netfilter_netns))
		detach_gone(netfilter_netns);
	retry_unanswered(netfilter_netns);
	fill_share(netfilter_netns);
	loop_timer_arm(&netfilter_netns->timer, NETFILTER_NETNS_PERIOD_MS);
}

/* ---- namespaces known at the start ---- */

static int add_pinned(void *context, uint64_t cookie)
{
	netfilter_netns_add(context, cookie, NETFILTER_NETNS_PINNED);
	return 0;
}

enum netfilter_netns_origin netfilter_netns_of_latch(union latch_word word)
{
	/* An SA has params only if a key manager has reported it. */
	return word.params ? NETFILTER_NETNS_OWN : NETFILTER_NETNS_UNKNOWN;
}

enum netfilter_netns_origin netfilter_netns_of_sa(union latch_sa_word word)
{
	return word.flags & LATCH_SA_FOREIGN ? NETFILTER_NETNS_FOREIGN : NETFILTER_NETNS_OWN;
}

static void add_known(struct netfilter_netns *netfilter_netns)
{
	int err = netfilter_gate_walk(add_pinned, netfilter_netns);

	if (!err)
		err = add_tabled(netfilter_netns);
	if (err)
		log_warn("enforce",
			 "network namespaces not searched (%s): some may need a "
			 "netfilter gate; restart latchd",
			 strerror(-err));
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
	HASH_ITER(hh, netfilter_netns->namespaces, entry, next)
	{
		forget(netfilter_netns, entry);
	}
	netns_unplaced_free(&netfilter_netns->unplaced);
	free(netfilter_netns);
}

bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns)
{
	return netfilter_gate_is_offered(netfilter_netns->gate);
}

bool netfilter_netns_share_is_short(const struct netfilter_netns *netfilter_netns)
{
	return netfilter_netns->short_share;
}

bool netfilter_netns_is_foreign(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	const struct netns_entry *entry = find(netfilter_netns, cookie);

	return entry ? entry->foreign
		     : netns_unplaced_kind_of(&netfilter_netns->unplaced, cookie) ==
			       NETNS_UNPLACED_FOREIGN;
}

size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max)
{
	const struct netns_entry *entry;
	size_t count = 0;

	for (entry = netfilter_netns->namespaces; entry; entry = entry->hh.next) {
		if (count < max)
			namespaces[count] = (struct netfilter_netns_entry){
				.cookie = entry->cookie,
				.attached = netfilter_gate_is_attached(netfilter_netns->gate,
								       entry->cookie),
				.foreign = entry->foreign,
			};
		count++;
	}
	return count;
}
