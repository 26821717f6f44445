/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/pending_sas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/binding/renewals.h"
#include "latchd/sa/unbound/sa_adoption.h"
#include "latchd/sa/binding/sa_ends.h"

#define PENDING_FIRST_MS 50
#define PENDING_LAST_MS	 5000
#define PENDING_WARN_NS	 5000000000ull
#define PENDING_PLACE_NS 60000000000ull /* a key manager with many SAs may report one late */
#define MISSING_GAP_MS	 60000		/* peers choose the number of SAs that a dump has */

/* Peers and local users choose how many SAs the table has. */
static void arm(struct pending_sas *pending)
{
	unsigned int pace_ms = walk_pace_wait_ms(&pending->walks);

	loop_timer_arm(&pending->timer, pending->wait_ms > pace_ms ? pending->wait_ms : pace_ms);
}

void pending_sas_check_soon(struct pending_sas *pending)
{
	if (loop_timer_armed(&pending->timer))
		return;
	pending->wait_ms = PENDING_FIRST_MS;
	arm(pending);
}

/* A new SA does not wait for the back-off of SAs that may stay unattributed forever. */
static void check_new_soon(struct pending_sas *pending)
{
	if (loop_timer_armed(&pending->timer) &&
	    pending->timer.deadline_ms > loop_now_ms() + PENDING_FIRST_MS)
		loop_timer_cancel(&pending->timer);
	pending_sas_check_soon(pending);
}

struct pending_sas_walk {
	struct pending_sas *pending;
	bool left; /* some SAs are still unattributed */
	uint32_t newest_warned;
};

static const char *reason_of(const struct pending_sas *pending, const struct latch_sa_key *key,
			     int err)
{
	const char *refused = refused_sas_reason(pending->refused_sas, key);

	if (refused)
		return refused;
	return err == -ENOSPC ? "the table of identities is full" : "no key manager reports it";
}

static bool is_older(const struct pending_sas *pending, const struct latch_sa_key *key,
		     const struct latch_sa *sa, uint64_t age)
{
	/* A key manager reports nothing before its first list. */
	return clock_boot_ns() - sa->installed >= age &&
	       key_managers_are_synced(pending->key_managers, key->netns);
}

static void warn_if_old(struct pending_sas_walk *walk, const struct latch_sa_key *key,
			const struct latch_sa *sa, int err)
{
	struct pending_sas *pending = walk->pending;
	unsigned int left_out;

	if (sa->word.serial <= pending->warned_serial ||
	    !is_older(pending, key, sa, PENDING_WARN_NS))
		return;
	if (sa->word.serial > walk->newest_warned)
		walk->newest_warned = sa->word.serial;
	if (!log_limit_admits(&pending->log, &left_out))
		return;
	log_warn(NULL,
		 "sa 0x%08x unattributed (%s): network namespace %" PRIu64
		 "; no latched flow may use it; see: latchctl sa; %u more since the last line",
		 key->spi, reason_of(pending, key, err), (uint64_t)key->netns, left_out);
}

/* -ENOENT: no key manager has reported the SA that has the key now. */
static int try_to_bind(const struct pending_sas *pending, const struct latch_sa_key *key)
{
	struct child_sa_end *end = child_sas_find(pending->binding->child_sas, key);
	int err;

	if (!end || !key_managers_are_synced(pending->key_managers, key->netns))
		return -ENOENT;
	err = binding_bind(pending->binding, end->child);
	if (err || sa_ends_is_current(pending->binding, end))
		return err;
	renewals_note(pending->binding, end);
	return -ENOENT;
}

/* Deletes an entry that the programs could not delete. Its place in the table and in its share is
 * then free. */
static int forget_gone(const struct pending_sas *pending, const struct latch_sa_key *key,
		       const struct latch_sa *sa)
{
	int result = sa_forget(pending->binding->view.maps, key, sa->word.serial);

	return result < 0 ? result : 0;
}

/* True: the SA counts in the share of its peer, or will. */
static bool is_of_known_peer(const struct pending_sas *pending, const struct latch_sa_key *key,
			     const struct latch_sa *sa)
{
	const struct child_sa_end *end = child_sas_find(pending->binding->child_sas, key);

	return end && (end->child->params || end->child->waits || end->child->uncounted) &&
	       (!end->serial || end->serial == sa->word.serial);
}

/* False: the share of SAs without a peer is full. An SA that stays without a peer takes a place in
 * that share. */
static bool has_place(const struct pending_sas *pending, const struct latch_sa_key *key,
		      const struct latch_sa *sa, int err)
{
	return !is_older(pending, key, sa, PENDING_PLACE_NS) ||
	       is_of_known_peer(pending, key, sa) ||
	       refused_sas_note(pending->refused_sas, key, reason_of(pending, key, err), false);
}

static int visit_pending(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct pending_sas_walk *walk = context;
	struct pending_sas *pending = walk->pending;
	int err;

	if (sa->word.flags & LATCH_SA_GONE)
		return forget_gone(pending, key, sa);
	if (sa->word.state != LATCH_SA_PENDING)
		refused_sas_forget(pending->refused_sas, key);
	if (sa->word.state != LATCH_SA_PENDING ||
	    !key_managers_serve(pending->key_managers, key->netns))
		return 0;
	err = try_to_bind(pending, key);
	if (!err)
		return 0;
	if (!has_place(pending, key, sa, err))
		return refused_sas_evict(pending->refused_sas, pending->binding->view.maps, key,
					 sa->word.serial);
	walk->left = true;
	warn_if_old(walk, key, sa, err);
	key_managers_resync(pending->key_managers, key->netns);
	return 0;
}

/*
 * only_foreign: scans foreign namespaces only, since any local user can exhaust their quota. SAs
 * that no key manager has reported are adopted only as far as their share has room. 1: some were
 * left out; else 0 or a negative errno.
 */
static int adopt_all(const struct pending_sas *pending, bool only_foreign)
{
	const struct key_manager *key_manager;
	bool skipped = false;
	int result = 0;

	for (key_manager = pending->key_managers->first; key_manager && result >= 0;
	     key_manager = key_manager->next) {
		if (only_foreign && netns_is_foreign(key_manager->netns) <= 0)
			continue;
		result = sa_adoption_run(pending->binding->view.maps, key_manager->netns,
					 pending->binding->child_sas,
					 refused_sas_room(pending->refused_sas));
		skipped = skipped || result > 0;
	}
	return result < 0 ? result : skipped;
}

/*
 * An SA that the full table refused has no event, and it is closed to latched
 * flows. It must be adopted when the table has room again. True: try again later.
 */
static bool adopt_refused(struct pending_sas *pending)
{
	uint64_t counters[LATCH_COUNTER_COUNT];
	int result;
	bool full;

	if (counters_read(pending->binding->view.maps, counters))
		return false;
	full = counters[LATCH_COUNTER_SAS_FULL] != pending->refused;
	if (!full && counters[LATCH_COUNTER_SAS_OVER_QUOTA] == pending->over_quota)
		return false;
	/* Another share may be full instead: it has room when an SA of the same peer or addresses
	 * is gone. */
	pending->missing = pending->missing || !full;
	result = adopt_all(pending, !full);
	if (result < 0)
		return true;
	pending->missing = pending->missing || result;
	pending->refused = counters[LATCH_COUNTER_SAS_FULL];
	pending->over_quota = counters[LATCH_COUNTER_SAS_OVER_QUOTA];
	return false;
}

/* True: try again later. */
static bool adopt_missing(struct pending_sas *pending)
{
	uint64_t now = loop_now_ms();

	if (!pending->missing)
		return false;
	if (pending->adopted_ms && now - pending->adopted_ms < MISSING_GAP_MS)
		return true;
	pending->adopted_ms = now;
	pending->missing = adopt_all(pending, false) != 0;
	return pending->missing;
}

static void on_timer(void *context)
{
	struct pending_sas *pending = context;
	struct pending_sas_walk walk = {.pending = pending,
					.newest_warned = pending->warned_serial};
	int err;

	walk_pace_begin(&pending->walks);
	walk.left = adopt_refused(pending);
	walk.left = adopt_missing(pending) || walk.left;
	identities_allow_collection(pending->binding->identities);
	err = sas_walk(pending->binding->view.maps, visit_pending, &walk);
	walk_pace_end(&pending->walks);
	if (err)
		log_warn(NULL, "pending SAs not checked (%s); retrying", strerror(-err));
	pending->warned_serial = walk.newest_warned;
	if (!err && !walk.left)
		return;
	pending->wait_ms =
		pending->wait_ms * 2 < PENDING_LAST_MS ? pending->wait_ms * 2 : PENDING_LAST_MS;
	arm(pending);
}

void pending_sas_gone(struct pending_sas *pending, const struct latch_sa_key *key)
{
	struct latch_sa sa;
	int err = sa_get_entry(pending->binding->view.maps, key, &sa);

	if (!err && sa.word.flags & LATCH_SA_GONE)
		err = forget_gone(pending, key, &sa);
	if (err && err != -ENOENT)
		pending_sas_check_soon(pending);
}

void pending_sas_missing(struct pending_sas *pending)
{
	pending->missing = true;
	pending_sas_check_soon(pending);
}

void pending_sas_new(struct pending_sas *pending, const struct latch_sa_key *key)
{
	if (key_managers_serve(pending->key_managers, key->netns) && try_to_bind(pending, key))
		check_new_soon(pending);
}

void pending_sas_init(struct pending_sas *pending, struct loop *loop, const struct binding *binding,
		      const struct key_managers *key_managers, struct refused_sas *refused_sas)
{
	*pending = (struct pending_sas){
		.binding = binding,
		.key_managers = key_managers,
		.refused_sas = refused_sas,
	};
	loop_timer_init(loop, &pending->timer, on_timer, pending);
}

void pending_sas_stop(struct pending_sas *pending)
{
	loop_timer_cancel(&pending->timer);
}
