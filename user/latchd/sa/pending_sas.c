/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/pending_sas.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/sa_adoption.h"

#define PENDING_FIRST_MS 50
#define PENDING_LAST_MS	 5000
#define PENDING_ALARM_NS 5000000000ull

void quarantine_look_soon(struct quarantine *q)
{
	if (loop_timer_armed(&q->timer))
		return;
	q->wait_ms = PENDING_FIRST_MS;
	loop_timer_arm(&q->timer, q->wait_ms);
}

/* A new one does not wait as long as those that nobody may ever speak of. */
static void look_at_new_soon(struct quarantine *q)
{
	if (loop_timer_armed(&q->timer) && q->timer.deadline_ms > loop_now_ms() + PENDING_FIRST_MS)
		loop_timer_cancel(&q->timer);
	quarantine_look_soon(q);
}

struct quarantine_walk {
	struct quarantine *quarantine;
	bool left;
	uint32_t newest_alarm;
};

static void alarm_if_old(struct quarantine_walk *walk, const struct latch_sa_key *key,
			 const struct latch_sa *sa, int err)
{
	if (clock_boot_ns() - sa->installed < PENDING_ALARM_NS ||
	    sa->word.serial <= walk->quarantine->alarmed_serial)
		return;
	if (sa->word.serial > walk->newest_alarm)
		walk->newest_alarm = sa->word.serial;
	log_warn("sa",
		 "SA 0x%08x of network namespace %" PRIu64
		 ": %s; no latched flow may use it; see: latchctl sa",
		 key->spi, (uint64_t)key->netns,
		 err == -ENOSPC ? "the table of identities is full" : "no key manager knows it");
}

/* -ENOENT: nobody has said yet whose the SA is that has the key now. */
static int try_to_bind(const struct quarantine *q, const struct latch_sa_key *key)
{
	struct child_end *end = children_find(q->binding->children, key);
	int err;

	if (!end || !keepers_are_synced(q->keepers, key->netns))
		return -ENOENT;
	err = binding_bind(q->binding, end->child);
	return err || binding_owns(q->binding, end) ? err : -ENOENT;
}

static int visit_pending(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct quarantine_walk *walk = context;
	struct quarantine *q = walk->quarantine;
	int err;

	if (sa->word.state != LATCH_SA_PENDING || !keepers_serve(q->keepers, key->netns))
		return 0;
	err = try_to_bind(q, key);
	if (!err)
		return 0;
	walk->left = true;
	alarm_if_old(walk, key, sa, err);
	keepers_resync(q->keepers, key->netns);
	return 0;
}

/* Where any local user can make others run out of room, those alone are looked through. */
static int adopt_all(const struct quarantine *q, bool only_foreign)
{
	const struct keeper *keeper;
	int err = 0;

	for (keeper = q->keepers->first; keeper && !err; keeper = keeper->next)
		if (!only_foreign || netns_is_foreign(keeper->netns) > 0)
			err = sa_adoption_run(q->binding->view.maps, keeper->netns);
	return err;
}

/*
 * No event tells of an SA for which the table had no room, and it is closed to latched
 * flows: it must not stay so when there is room again. True: later once more.
 */
static bool take_in_refused(struct quarantine *q)
{
	uint64_t counters[LATCH_COUNTER_COUNT];
	bool full;

	if (counters_read(q->binding->view.maps, counters))
		return false;
	full = counters[LATCH_COUNTER_SAS_FULL] != q->refused;
	if (!full && counters[LATCH_COUNTER_SAS_OVER_QUOTA] == q->over_quota)
		return false;
	if (adopt_all(q, !full))
		return true;
	q->refused = counters[LATCH_COUNTER_SAS_FULL];
	q->over_quota = counters[LATCH_COUNTER_SAS_OVER_QUOTA];
	return false;
}

static void on_timer(void *context)
{
	struct quarantine *q = context;
	struct quarantine_walk walk = {.quarantine = q, .newest_alarm = q->alarmed_serial};
	int err;

	walk.left = take_in_refused(q);
	identities_look_again(q->binding->identities);
	err = sas_walk(q->binding->view.maps, visit_pending, &walk);
	if (err)
		log_warn("sa", "cannot look for unattributed SAs: %s; trying again",
			 strerror(-err));
	q->alarmed_serial = walk.newest_alarm;
	if (!err && !walk.left)
		return;
	q->wait_ms = q->wait_ms * 2 < PENDING_LAST_MS ? q->wait_ms * 2 : PENDING_LAST_MS;
	loop_timer_arm(&q->timer, q->wait_ms);
}

void quarantine_new(struct quarantine *q, const struct latch_sa_key *key)
{
	if (try_to_bind(q, key))
		look_at_new_soon(q);
}

void quarantine_init(struct quarantine *q, struct loop *loop, const struct binding *binding,
		     const struct keepers *keepers)
{
	*q = (struct quarantine){.binding = binding, .keepers = keepers};
	loop_timer_init(loop, &q->timer, on_timer, q);
}

void quarantine_stop(struct quarantine *q)
{
	loop_timer_cancel(&q->timer);
}
